// One entry of a VirtualService's `match` to Envoy's RouteMatch. What Envoy cannot see, or sees otherwise than in a cluster, is decided here.

import { RE2JS } from "re2js";
import type { HeaderMatcherSchema, QueryParameterMatcherSchema, RouteMatchSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { StringMatcherSchema } from "../gen/envoy/type/matcher/v3/string_pb.js";
import { compareText } from "../model/diagnostic.ts";
import type { StringMatch } from "../model/fields.ts";
import type { HttpMatch } from "../model/virtual-service.ts";
import { claimMatcher, claimOf } from "./claim-match.ts";
import { isAuthority } from "./header-operations.ts";
import type { Init } from "./init.ts";
import type { RouteSemantics } from "./route-semantics.ts";

export type RouteMatchInit = Init<typeof RouteMatchSchema>;
type HeaderMatcherInit = Init<typeof HeaderMatcherSchema>;
type QueryParameterMatcherInit = Init<typeof QueryParameterMatcherSchema>;
type StringMatcherInit = Init<typeof StringMatcherSchema>;

/** Where requests come from and through which port: known when routes are made, so Envoy need not compare it. */
export interface RequestSource {
  readonly namespace: string;
  /** Labels of the calling workload. */
  readonly labels: Readonly<Record<string, string>>;
  /** `mesh`, or `namespace/name` of the Gateway that the requests enter by. */
  readonly gateways: readonly string[];
  /** The port that was called: of the service, or of the Gateway's server. */
  readonly port: number;
  /**
   * The authority that a client in a cluster would send, where a request bears another one (a listener of one service, which is called by an
   * address of its own); absent where Envoy sees the real one.
   */
  readonly authority?: string;
}

/** The match of a route without conditions. */
export const MATCH_ALL: RouteMatchInit = { pathSpecifier: { case: "prefix", value: "/" } };

/** False where the entry can never hold for this source: another port, namespace, gateway, workload, or authority. */
export function holdsForSource(match: HttpMatch, gatewaysOf: (names: readonly string[]) => readonly string[], source: RequestSource): boolean {
  if (match.port !== undefined && match.port !== source.port) return false;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== source.namespace) return false;
  if (match.gateways.length > 0 && !gatewaysOf(match.gateways).some((name) => source.gateways.includes(name))) return false;
  if (!Object.entries(match.sourceLabels).every(([label, value]) => source.labels[label] === value)) return false;
  const { authority } = source;
  return authority === undefined || authorityConditions(match).every(({ condition, negated }) => accepts(condition, authority) !== negated);
}

/** The conditions that are left for Envoy; they are ANDed. A prefix is a plain string prefix, as in Istio: `/api` also holds for `/apiary`. */
export function routeMatch(match: HttpMatch, source: RequestSource, semantics: Pick<RouteSemantics, "prefixesBySegment">): RouteMatchInit {
  const folded = source.authority !== undefined;
  const visible = ([name]: readonly [string, StringMatch]): boolean => !(folded && isAuthority(name)) && claimOf(name) === undefined;
  const headers = [
    ...sorted(match.headers)
      .filter(visible)
      .map(([name, condition]) => headerMatcher(name, condition)),
    ...sorted(match.withoutHeaders)
      .filter(visible)
      .map(([name, condition]) => absence(name, condition)),
    ...pseudoHeader(":method", match.method),
    ...(folded ? [] : pseudoHeader(":authority", match.authority)),
    ...pseudoHeader(":scheme", match.scheme),
  ];
  return {
    pathSpecifier: pathSpecifier(match.uri, semantics.prefixesBySegment),
    caseSensitive: !match.ignoreUriCase,
    headers,
    queryParameters: sorted(match.queryParams).map(([name, condition]) => queryMatcher(name, condition)),
    dynamicMetadata: [...claimMatchers(match.headers, false), ...claimMatchers(match.withoutHeaders, true)],
  };
}

function claimMatchers(headers: Readonly<Record<string, StringMatch>>, invert: boolean): NonNullable<RouteMatchInit["dynamicMetadata"]> {
  return sorted(headers).flatMap(([name, condition]) => {
    const claim = claimOf(name);
    return claim === undefined ? [] : [claimMatcher(claim, asksForPresence(condition) ? undefined : stringMatcher(condition), invert)];
  });
}

/** True where every request is matched, so that no later route can be reached. */
export function matchesAll(match: RouteMatchInit): boolean {
  const path = match.pathSpecifier;
  const anyPath = (path?.case === "prefix" && path.value === "/") || (path?.case === "safeRegex" && path.value?.regex === ".*");
  return anyPath && [match.headers, match.queryParameters, match.dynamicMetadata].every((conditions) => (conditions ?? []).length === 0);
}

/** The same match for requests that bear this very header only; its name is in lower case. */
export function withHeader(match: RouteMatchInit, name: string, value: string): RouteMatchInit {
  return { ...match, headers: [...(match.headers ?? []), headerMatcher(name, { kind: "exact", value })] };
}

/** The same match for some methods only. */
export function withMethods(match: RouteMatchInit, methods: readonly string[]): RouteMatchInit {
  const condition: HeaderMatcherInit = {
    name: ":method",
    headerMatchSpecifier: { case: "stringMatch", value: { matchPattern: { case: "safeRegex", value: { regex: methods.join("|") } } } },
  };
  return { ...match, headers: [...(match.headers ?? []), condition] };
}

/** Envoy's form of a string condition; undefined for one that holds for every value. */
export function stringMatcher(match: StringMatch): StringMatcherInit | undefined {
  switch (match.kind) {
    case "exact":
    case "prefix":
      return { matchPattern: { case: match.kind, value: match.value } };
    case "regex":
      return { matchPattern: { case: "safeRegex", value: { regex: match.value } } };
    case "present":
      return undefined;
  }
}

function pathSpecifier(uri: StringMatch | undefined, prefixesBySegment: boolean): NonNullable<RouteMatchInit["pathSpecifier"]> {
  switch (uri?.kind) {
    case "exact":
      return { case: "path", value: uri.value };
    case "regex":
      return { case: "safeRegex", value: { regex: uri.value } };
    case "prefix":
      if (prefixesBySegment && uri.value !== "/") return { case: "pathSeparatedPrefix", value: uri.value.replace(/\/$/, "") };
      return { case: "prefix", value: uri.value };
    case "present":
    case undefined:
      return { case: "prefix", value: "/" };
  }
}

/** In Istio the regular expression `*`, which is none, asks for presence. Source: pilot/pkg/networking/core/route, isCatchAllStringMatch. */
function asksForPresence(match: StringMatch): boolean {
  return match.kind === "present" || (match.kind === "regex" && match.value === "*");
}

function headerMatcher(name: string, match: StringMatch): HeaderMatcherInit {
  const condition = asksForPresence(match) ? undefined : stringMatcher(match);
  if (condition === undefined) return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, headerMatchSpecifier: { case: "stringMatch", value: condition } };
}

/** A missing header fulfils `withoutHeaders`; Envoy inverts only what it has compared, so the header counts as empty. */
function absence(name: string, match: StringMatch): HeaderMatcherInit {
  return { ...headerMatcher(name, match), invertMatch: true, treatMissingHeaderAsEmpty: !asksForPresence(match) };
}

function pseudoHeader(name: string, match: StringMatch | undefined): readonly HeaderMatcherInit[] {
  return match === undefined || match.kind === "present" ? [] : [headerMatcher(name, match)];
}

function queryMatcher(name: string, match: StringMatch): QueryParameterMatcherInit {
  const condition = stringMatcher(match);
  if (condition === undefined) return { name, queryParameterMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, queryParameterMatchSpecifier: { case: "stringMatch", value: condition } };
}

function authorityConditions(match: HttpMatch): readonly { readonly condition: StringMatch; readonly negated: boolean }[] {
  const named = (headers: Readonly<Record<string, StringMatch>>, negated: boolean) =>
    sorted(headers)
      .filter(([name]) => isAuthority(name))
      .map(([, condition]) => ({ condition, negated }));
  return [...(match.authority ? [{ condition: match.authority, negated: false }] : []), ...named(match.headers, false), ...named(match.withoutHeaders, true)];
}

/** Whether a value fulfils a condition by Envoy's rules: a regular expression (RE2) must match the whole value. */
function accepts(match: StringMatch, value: string): boolean {
  switch (match.kind) {
    case "exact":
      return value === match.value;
    case "prefix":
      return value.startsWith(match.value);
    case "regex":
      return asksForPresence(match) || RE2JS.compile(match.value).matches(value);
    case "present":
      return true;
  }
}

function sorted<Value>(values: Readonly<Record<string, Value>>): readonly (readonly [string, Value])[] {
  return Object.entries(values).sort(([a], [b]) => compareText(a, b));
}
