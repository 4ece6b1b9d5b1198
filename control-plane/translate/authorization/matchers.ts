// How a value of a policy is written (`exact`, `prefix*`, `*suffix`, `*` for "anything at all") to Envoy's matchers of strings, headers, addresses and metadata.
// Source: Istio reference, "Authorization Policy", and pilot/pkg/security/authz/matcher, whose forms these are.

import type { CidrRangeSchema } from "../../gen/envoy/config/core/v3/address_pb.js";
import type { TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.js";
import type { HeaderMatcherSchema } from "../../gen/envoy/config/route/v3/route_components_pb.js";
import { UriTemplateMatchConfigSchema } from "../../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import type { MetadataMatcherSchema } from "../../gen/envoy/type/matcher/v3/metadata_pb.js";
import type { StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.js";
import type { ValueMatcherSchema } from "../../gen/envoy/type/matcher/v3/value_pb.js";
import { packAny } from "../any.ts";
import type { Init } from "../init.ts";

export type StringMatcherInit = Init<typeof StringMatcherSchema>;
export type HeaderMatcherInit = Init<typeof HeaderMatcherSchema>;
export type MetadataMatcherInit = Init<typeof MetadataMatcherSchema>;
type ValueMatcherInit = Init<typeof ValueMatcherSchema>;

/** Any text but the empty one. */
export const ANYTHING: StringMatcherInit = regex(".+");

/** A regular expression that the whole text must match. */
export function regex(pattern: string): StringMatcherInit {
  return { matchPattern: { case: "safeRegex", value: { regex: pattern } } };
}

export function exact(value: string): StringMatcherInit {
  return { matchPattern: { case: "exact", value } };
}

export function prefix(value: string): StringMatcherInit {
  return { matchPattern: { case: "prefix", value } };
}

export function suffix(value: string): StringMatcherInit {
  return { matchPattern: { case: "suffix", value } };
}

/** A value with at most one star, at its beginning or end. */
export function stringMatcher(value: string): StringMatcherInit {
  if (value === "*") return ANYTHING;
  if (value.startsWith("*")) return suffix(value.slice(1));
  return value.endsWith("*") ? prefix(value.slice(0, -1)) : exact(value);
}

/** A header by name. `*` asks for presence: Envoy refuses an empty prefix or suffix. */
export function headerMatcher(name: string, value: string, ignoreCase = false): HeaderMatcherInit {
  if (value === "*") return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, headerMatchSpecifier: { case: "stringMatch", value: { ...stringMatcher(value), ignoreCase } } };
}

/** A path with templates: `{*}` is one segment, `{**}` any number of them. */
export function pathTemplate(value: string): Init<typeof TypedExtensionConfigSchema> {
  const template = value.replaceAll("{**}", "**").replaceAll("{*}", "*");
  return { name: "uri-template", typedConfig: packAny(UriTemplateMatchConfigSchema, { pathTemplate: template }) };
}

/**
 * A path as programs read it that know no case, or that take path parameters (`/admin;x=1/keys`) off before they decide: to HTTP these are other paths, and Envoy
 * has no setting that makes them one. Templates as in {@link pathTemplate}.
 */
export function pathInAnySpelling(value: string): StringMatcherInit {
  const parts = value.split(/(\{\*\*\}|\{\*\}|^\*|\*$)/).map((part) => {
    if (part === "{*}") return "[^/]+";
    return part === "{**}" || part === "*" ? ".*" : quoteRegex(part).replace(/\//g, `${PARAMETERS}(?:/;[^/]*)*/`);
  });
  return regex(`(?i)${parts.join("")}${value.endsWith("*") ? "" : PARAMETERS}`);
}

/** RFC 3986, 3.3: what follows a semicolon in a segment belongs to the segment's parameters. */
const PARAMETERS = "(?:;[^/]*)?";

/** Metadata that another filter left, at a path of keys. Several values: any of them. */
export function metadataMatcher(filter: string, keys: readonly string[], values: readonly ValueMatcherInit[]): MetadataMatcherInit {
  return { filter, path: keys.map((key) => ({ segment: { case: "key", value: key } }) as const), value: anyOf(values) };
}

/** Any of several matches of one value. */
export function anyOf(values: readonly ValueMatcherInit[]): ValueMatcherInit {
  const [only, ...others] = values;
  return only !== undefined && others.length === 0 ? only : { matchPattern: { case: "orMatch", value: { valueMatchers: [...values] } } };
}

export function stringValue(matcher: StringMatcherInit): ValueMatcherInit {
  return { matchPattern: { case: "stringMatch", value: matcher } };
}

/** A list with one entry that matches. */
export function listValue(entry: ValueMatcherInit): ValueMatcherInit {
  return { matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value: entry } } } };
}

/** Text as it stands, in a regular expression of RE2. */
export function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

/** An address (`10.1.2.3`, `2001:db8::1`) or a range (`10.1.0.0/16`); undefined for anything else. */
export function cidrRange(text: string): Init<typeof CidrRangeSchema> | undefined {
  const [address = "", length, ...rest] = text.split("/");
  const bits = isIpv4(address) ? 32 : isIpv6(address) ? 128 : undefined;
  if (bits === undefined || rest.length > 0) return undefined;
  if (length === undefined) return { addressPrefix: address, prefixLen: bits };
  return /^\d{1,3}$/.test(length) && Number(length) <= bits ? { addressPrefix: address, prefixLen: Number(length) } : undefined;
}

function isIpv4(address: string): boolean {
  const parts = address.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(address: string): boolean {
  return address.includes(":") && /^[0-9a-fA-F:.]+$/.test(address) && URL.canParse(`http://[${address}]/`);
}
