// WasmPlugin, TrafficExtension and ProxyConfig as a whole. Source: Istio ValidateWasmPlugin, ValidateTrafficExtension, ValidateProxyConfig.
import type { WasmConfig, WasmPluginSpec } from "../model/extensions.ts";
import type { FieldPath, ProxyConfig, TrafficExtension, WasmPlugin } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";
import { checkSelectorLabels, checkTarget } from "./selectors.ts";
import { checkUrl } from "./urls.ts";

const CODE = "WEFT0389";
const SPEC: FieldPath = ["spec"];

/** Everything that a WasmPlugin by itself can get wrong. */
export function checkWasmPlugin({ spec }: Pick<WasmPlugin, "spec">): readonly Problem[] {
  return [...checkTarget(spec), ...checkWasm(spec, SPEC), ...checkMatch(spec.match)];
}

const MAX_LUA_BYTES = 65_536;

/** Everything that a TrafficExtension by itself can get wrong. */
export function checkTrafficExtension({ spec }: Pick<TrafficExtension, "spec">): readonly Problem[] {
  const { wasm, lua } = spec;
  const problems: Problem[] = [...checkTarget(spec), ...checkMatch(spec.match)];
  if ((wasm === undefined) === (lua === undefined))
    problems.push(error(CODE, SPEC, "an extension is either wasm or lua", wasm === undefined ? "add one of them" : "remove one of them"));
  if (wasm !== undefined) problems.push(...checkWasm(wasm, [...SPEC, "wasm"]));
  const code = [...SPEC, "lua", "inlineCode"];
  if (lua?.inlineCode === "") problems.push(error(CODE, [...SPEC, "lua"], "the extension has no code", "add `inlineCode:`"));
  if (lua !== undefined && Buffer.byteLength(lua.inlineCode) > MAX_LUA_BYTES)
    problems.push(error(CODE, code, "the code is longer than 64 KB", "make it shorter"));
  return problems;
}

/** Everything that a ProxyConfig by itself can get wrong. */
export function checkProxyConfig({ spec }: Pick<ProxyConfig, "spec">): readonly Problem[] {
  const { selector, concurrency } = spec;
  return [
    ...(selector === undefined ? [] : checkSelectorLabels(selector.matchLabels, [...SPEC, "selector", "matchLabels"])),
    ...((concurrency ?? 0) < 0 ? [error(CODE, [...SPEC, "concurrency"], "concurrency cannot be negative", "use 0 for one thread per core")] : []),
  ];
}

const SCHEMES = ["oci", "https", "http", "file", ""];
const SHA256 = /^[a-f0-9]{64}$/;
const MAX_NAME = 256;
const MAX_SECRET_NAME = 253;

function checkWasm({ url, sha256 = "", imagePullSecret = "", pluginName = "", vmConfig }: WasmConfig, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = url === "" ? [error(CODE, path, "the plugin has no url", "add `url:`")] : [...checkUrl(CODE, url, SCHEMES, [...path, "url"])];
  if (sha256 !== "" && !SHA256.test(sha256))
    problems.push(error(CODE, [...path, "sha256"], "sha256 has 64 digits of 0-9 and a-f", "write the whole checksum in lower case"));
  if (imagePullSecret.length > MAX_SECRET_NAME)
    problems.push(error(CODE, [...path, "imagePullSecret"], `the name of a Secret has at most ${MAX_SECRET_NAME} characters`, "shorten it"));
  if (pluginName.length > MAX_NAME) problems.push(error(CODE, [...path, "pluginName"], `pluginName has at most ${MAX_NAME} characters`, "shorten it"));
  return [...problems, ...checkEnvironment(vmConfig?.env ?? [], [...path, "vmConfig", "env"])];
}

function checkEnvironment(variables: NonNullable<WasmConfig["vmConfig"]>["env"], path: FieldPath): readonly Problem[] {
  const seen = new Set<string>();
  return variables.flatMap(({ name, valueFrom = "INLINE", value = "" }, index) => {
    const problems: Problem[] = [];
    const at = [...path, index];
    if (name === "" || name.length > MAX_NAME)
      problems.push(error(CODE, at, name === "" ? "the variable has no name" : `a variable's name has at most ${MAX_NAME} characters`, "name it"));
    else if (seen.has(name)) problems.push(error(CODE, at, `the variable ${name} stands twice`, "remove one of the two"));
    if (valueFrom === "HOST" && value !== "")
      problems.push(error(CODE, [...at, "value"], "a variable from the host has no value of its own", "write `valueFrom: INLINE`, or remove the value"));
    seen.add(name);
    return problems;
  });
}

function checkMatch(matches: WasmPluginSpec["match"]): readonly Problem[] {
  return matches.flatMap(({ ports }, index) =>
    ports.flatMap(({ number }, position) =>
      number >= 1 && number <= 65_535
        ? []
        : [error(CODE, [...SPEC, "match", index, "ports", position], `${number} is not a port`, "write a number from 1 to 65535")],
    ),
  );
}
