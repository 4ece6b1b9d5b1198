// PeerAuthentication and RequestAuthentication as a whole. Source: Istio ValidatePeerAuthentication, ValidateRequestAuthentication.

import { isRecord } from "../model/is-record.ts";
import type { JwtRule } from "../model/request-authentication.ts";
import type { FieldPath, PeerAuthentication, RequestAuthentication } from "../model/resource.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkSelectorLabels, checkTarget } from "./selectors.ts";
import { checkUrl } from "./urls.ts";
import { checkDuration } from "./values.ts";

const CODE = "WEFT0388";

/** Everything that a PeerAuthentication by itself can get wrong. */
export function checkPeerAuthentication({ spec }: Pick<PeerAuthentication, "spec">): readonly Problem[] {
  const { selector, portLevelMtls } = spec;
  const problems: Problem[] = selector === undefined ? [] : [...checkSelectorLabels(selector.matchLabels, ["spec", "selector", "matchLabels"])];
  if (portLevelMtls === undefined) return problems;
  const path = ["spec", "portLevelMtls"];
  const ports = Object.keys(portLevelMtls);
  if (ports.length === 0) problems.push(error(CODE, path, "portLevelMtls names no port", "add a port, or remove it"));
  else if (Object.keys(selector?.matchLabels ?? {}).length === 0)
    problems.push(error(CODE, path, "ports differ between workloads, and this policy is for all of them", "add `selector:` with matchLabels"));
  for (const port of ports) {
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
      problems.push(error(CODE, [...path, port], `"${port}" is not a port`, "write a number from 1 to 65535"));
  }
  return problems;
}

/** Everything that a RequestAuthentication by itself can get wrong. */
export function checkRequestAuthentication({ spec }: Pick<RequestAuthentication, "spec">): readonly Problem[] {
  return [...checkTarget(spec), ...spec.jwtRules.flatMap((rule, index) => checkJwtRule(rule, ["spec", "jwtRules", index]))];
}

const OUTPUT_HEADER = /^[-_A-Za-z0-9]+$/;

function checkJwtRule(rule: JwtRule, path: FieldPath): readonly Problem[] {
  const { issuer = "", jwksUri = "", jwks = "", fromHeaders, outputClaimToHeaders, timeout } = rule;
  const problems: Problem[] = [];
  if (issuer === "" && jwksUri === "") problems.push(error(CODE, path, "the rule has neither issuer nor jwksUri", "add `issuer:`"));
  if (jwksUri !== "") problems.push(...checkUrl(CODE, jwksUri, ["http", "https"], [...path, "jwksUri"]));
  if (jwksUri !== "" && jwks !== "") problems.push(error(CODE, [...path, "jwks"], "a rule has either jwksUri or jwks, not both", "remove one of them"));
  if (jwks !== "") problems.push(...checkKeySet(jwks, [...path, "jwks"]));
  for (const field of ["audiences", "fromParams", "fromCookies"] as const) {
    for (const [index, value] of rule[field].entries())
      if (value === "") problems.push(error(CODE, [...path, field, index], `${field} has an empty value`, "remove it"));
  }
  for (const [index, { name }] of fromHeaders.entries())
    if (name === "") problems.push(error(CODE, [...path, "fromHeaders", index], "the header has no name", "add `name:`"));
  for (const [index, { header, claim }] of outputClaimToHeaders.entries()) {
    const at = [...path, "outputClaimToHeaders", index];
    if (header === "" || claim === "") problems.push(error(CODE, at, "a claim goes to a header only where both are named", "add header and claim"));
    else if (!OUTPUT_HEADER.test(header))
      problems.push(error(CODE, [...at, "header"], `"${header}" is not the name of a header`, "use letters, digits, - and _"));
  }
  if (rule.presence !== undefined)
    problems.push(warning(CODE, [...path, "presence"], "presence is no field of Istio's API and has no effect", "require a token with an AuthorizationPolicy"));
  return [...problems, ...checkDuration(timeout, [...path, "timeout"])];
}

/** A key set is public: private keys in it are a mistake worth a word. */
const PRIVATE_FIELDS = ["d", "p", "q", "k"];

/** JSON: one key, or `keys:` with a list of them. */
function checkKeySet(text: string, path: FieldPath): readonly Problem[] {
  const set = parsed(text);
  const keys = isRecord(set) ? (Array.isArray(set.keys) ? set.keys : [set]) : [];
  if (keys.length === 0 && !(isRecord(set) && Array.isArray(set.keys))) return [error(CODE, path, "jwks is not a set of keys", 'write JSON: {"keys": […]}')];
  return keys.flatMap((key: unknown, index) => {
    if (!isRecord(key) || typeof key.kty !== "string" || !hasKeyFields(key))
      return [error(CODE, path, `key ${index} of jwks is not a key`, "write it as RFC 7517 has it, with kty and the fields of its kind")];
    return PRIVATE_FIELDS.some((field) => key[field] !== undefined)
      ? [warning(CODE, path, `key ${index} of jwks holds its private part`, "publish the public part alone")]
      : [];
  });
}

/** Fields without which a key of its kind is none (RFC 7518, section 6). */
const KEY_FIELDS: Readonly<Record<string, readonly string[]>> = { RSA: ["n", "e"], EC: ["crv", "x", "y"], OKP: ["crv", "x"], oct: ["k"] };

function hasKeyFields(key: Readonly<Record<string, unknown>>): boolean {
  const fields = KEY_FIELDS[String(key.kty)];
  return fields?.every((field) => typeof key[field] === "string" && key[field] !== "") === true;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
