// Which route of a virtual host takes a request, and for each route before it the first condition that failed.
import type { Route, RouteMatch, VirtualHost } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type FailedCondition, headerFailure, queryFailure } from "./condition.ts";
import { denominatorOf, isWithin, type Runtime } from "./fraction.ts";
import { metadataFailure } from "./metadata-condition.ts";
import { matchesWhole } from "./regex.ts";
import { asciiLower, isGrpc, pathOnly, type SimulatedRequest } from "./request.ts";

/** What matching depends on beside the route and the request. */
export interface MatchOptions {
  /** `ignore_path_parameters_in_path_matching` of the route configuration. */
  readonly ignorePathParameters: boolean;
  readonly runtime: Runtime;
}

/** A route that did not take the request. */
export interface PassedRoute {
  readonly route: Route;
  /** Its place in the virtual host. */
  readonly index: number;
  /** The condition that failed; where several did, the one that stands first in the list path, fraction, gRPC, headers, query, TLS, metadata. */
  readonly failure: FailedCondition;
}

/** The route that takes a request, and those before it. */
export interface RouteSearch {
  readonly taken?: { readonly route: Route; readonly index: number };
  readonly passed: readonly PassedRoute[];
}

/** The first route whose conditions all hold. Throws where RE2 refuses a pattern: Envoy refuses such a configuration as a whole. */
export function matchRoute(virtualHost: VirtualHost, request: SimulatedRequest, options: MatchOptions): RouteSearch {
  const passed: PassedRoute[] = [];
  for (const [index, route] of virtualHost.routes.entries()) {
    const failure = routeFailure(route, request, options);
    if (failure === undefined) return { taken: { route, index }, passed };
    passed.push({ route, index, failure });
  }
  return { passed };
}

/** The first condition of a route that the request does not fulfil, or undefined where it takes the request. */
export function routeFailure(route: Route, request: SimulatedRequest, options: MatchOptions): FailedCondition | undefined {
  const { match } = route;
  if (match === undefined) return { kind: "unsupported", name: "", expected: "a match", actual: undefined };
  return (
    pathFailure(match, request, options) ??
    fractionFailure(match, request, options) ??
    (match.grpc !== undefined && !isGrpc(request)
      ? { kind: "grpc", name: "content-type", expected: "application/grpc", actual: request.headers["content-type"]?.[0] }
      : undefined) ??
    firstFailure(match.headers, (matcher) => headerFailure(matcher, request)) ??
    firstFailure(match.queryParameters, (matcher) => queryFailure(matcher, request)) ??
    tlsFailure(match) ??
    firstFailure(match.dynamicMetadata, (matcher) => metadataFailure(matcher, request))
  );
}

function firstFailure<Matcher>(matchers: readonly Matcher[], failureOf: (matcher: Matcher) => FailedCondition | undefined): FailedCondition | undefined {
  for (const matcher of matchers) {
    const failure = failureOf(matcher);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function pathFailure(match: RouteMatch, request: SimulatedRequest, options: MatchOptions): FailedCondition | undefined {
  const { pathSpecifier: specifier } = match;
  if (specifier.case === "connectMatcher") {
    return request.method === "CONNECT" ? undefined : { kind: "connect", name: ":method", expected: "CONNECT", actual: request.method };
  }
  if (specifier.case === "pathMatchPolicy" || specifier.case === undefined) {
    return { kind: "unsupported", name: ":path", expected: `extension ${specifier.value?.name ?? ""}`, actual: request.path };
  }
  const path = matchedPath(request.path, options);
  // A CONNECT request has no path, and only a connect matcher takes it.
  const holds = request.method !== "CONNECT" && pathHolds(specifier, match.caseSensitive ?? true, path);
  return holds ? undefined : { kind: "path", name: ":path", expected: pathWords(specifier, match.caseSensitive ?? true), actual: path };
}

type ComparedPath = Exclude<RouteMatch["pathSpecifier"], { case: "connectMatcher" | "pathMatchPolicy" | undefined }>;

function pathHolds(specifier: ComparedPath, caseSensitive: boolean, path: string): boolean {
  if (specifier.case === "safeRegex") return matchesWhole(specifier.value.regex, path);
  const fold = (text: string): string => (caseSensitive ? text : asciiLower(text));
  const actual = fold(path);
  const wanted = fold(specifier.value);
  switch (specifier.case) {
    case "path":
      return actual === wanted;
    case "prefix":
      return actual.startsWith(wanted);
    case "pathSeparatedPrefix":
      return actual.startsWith(wanted) && (actual.length === wanted.length || actual[wanted.length] === "/");
  }
}

function pathWords(specifier: ComparedPath, caseSensitive: boolean): string {
  if (specifier.case === "safeRegex") return `regex "${specifier.value.regex}"`;
  const word = { path: "exact", prefix: "prefix", pathSeparatedPrefix: "path prefix" }[specifier.case];
  return `${word} "${specifier.value}"${caseSensitive ? "" : " (any case)"}`;
}

/**
 * The part of the path that conditions see; parameters (`;x=1`) go from every segment where they are to be ignored (since Envoy 1.40,
 * `strip_path_parameters_per_segment`; before, everything from the first on). Source: config_impl.cc, sanitizePathBeforePathMatching, and PathMatcher.
 */
function matchedPath(path: string, options: MatchOptions): string {
  const only = pathOnly(path);
  return options.ignorePathParameters ? only.replace(/;[^/]*/g, "") : only;
}

function fractionFailure(match: RouteMatch, request: SimulatedRequest, options: MatchOptions): FailedCondition | undefined {
  const fraction = match.runtimeFraction;
  if (fraction === undefined || isWithin(fraction, request.random, options.runtime)) return undefined;
  const percent = options.runtime[fraction.runtimeKey] ?? ((fraction.defaultValue?.numerator ?? 0) * 100) / denominatorOf(fraction.defaultValue);
  return { kind: "fraction", name: fraction.runtimeKey, expected: `${percent} % of requests`, actual: `random number ${request.random}` };
}

/** A simulated request has no client certificate. */
function tlsFailure(match: RouteMatch): FailedCondition | undefined {
  const { presented, validated } = match.tlsContext ?? {};
  const name = presented === true ? "presented" : validated === true ? "validated" : undefined;
  return name === undefined ? undefined : { kind: "tls", name, expected: "a client certificate", actual: undefined };
}
