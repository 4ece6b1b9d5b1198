// One HTTP route of a VirtualService. Source: Istio pkg/config/validation/virtualservice.go, validateHTTPRoute.
import type { StringMatch } from "../model/fields.ts";
import type { FieldPath } from "../model/resource.ts";
import type { HttpMatch, HttpRoute } from "../model/virtual-service.ts";
import { checkHttpDestinations } from "./destinations.ts";
import { checkGatewayNames } from "./gateway-names.ts";
import { checkHeaders, checkMatchedHeader, isAuthority } from "./headers.ts";
import { checkCors, checkDirectResponse, checkFault, checkMirrors, checkRedirect, checkRewrite } from "./http-actions.ts";
import { isDnsLabel, labelsOfFault } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkRetries } from "./retries.ts";
import { checkDuration, checkStringMatch } from "./values.ts";

/** A route at `path`. `isDelegate`: of a VirtualService without hosts, to which others delegate. */
export function checkHttpRoute(route: HttpRoute, path: FieldPath, isDelegate: boolean): readonly Problem[] {
  return [
    ...checkAction(route, path, isDelegate),
    ...route.match.flatMap((match, index) => checkHttpMatch(match, [...path, "match", index])),
    ...checkHeaders(route.headers, [...path, "headers"]),
    ...checkCors(route.corsPolicy, [...path, "corsPolicy"]),
    ...checkFault(route.fault, [...path, "fault"]),
    ...checkMirrors(route, path),
    ...checkRedirect(route.redirect, route.match, [...path, "redirect"]),
    ...checkDirectResponse(route.directResponse, [...path, "directResponse"]),
    ...checkRetries(route.retries, [...path, "retries"]),
    ...checkRewrite(route.rewrite, [...path, "rewrite"]),
    ...checkAuthorities(route, path),
    ...checkHttpDestinations(route.route, [...path, "route"]),
    ...checkDuration(route.timeout, [...path, "timeout"]),
    ...(route.websocketUpgrade === undefined
      ? []
      : [warning("WEFT0340", [...path, "websocketUpgrade"], "websocketUpgrade is no more: WebSockets pass by themselves", "remove it")]),
  ];
}

/** Exactly one of route, redirect, directResponse and delegate. */
function checkAction(route: HttpRoute, path: FieldPath, isDelegate: boolean): readonly Problem[] {
  const { redirect, directResponse, delegate } = route;
  const hasRoute = route.route.length > 0;
  const together = (field: string, other: string): Problem =>
    error("WEFT0340", [...path, field], `a route cannot have both ${field} and ${other}`, `remove one, or make two routes with a match each`);
  if (delegate !== undefined && !isDelegate) {
    return [...(redirect === undefined ? [] : [together("redirect", "delegate")]), ...(hasRoute ? [together("route", "delegate")] : [])];
  }
  const problems: Problem[] = [];
  if (delegate !== undefined) {
    problems.push(
      error("WEFT0340", [...path, "delegate"], "a VirtualService without hosts is delegated to, and cannot delegate further", "move its routes here"),
    );
  }
  const action = redirect !== undefined ? "redirect" : directResponse !== undefined ? "directResponse" : undefined;
  if (action === undefined) {
    if (!hasRoute) problems.push(error("WEFT0341", path, "the route sends requests nowhere", "add route, redirect or directResponse"));
    return problems;
  }
  if (hasRoute) problems.push(together("route", action));
  if (route.fault !== undefined) problems.push(together("fault", action));
  if (route.rewrite !== undefined) problems.push(together("rewrite", action));
  if (redirect !== undefined && directResponse !== undefined) problems.push(together("directResponse", "redirect"));
  return problems;
}

/** The host of the upstream request can be changed in one place only. */
function checkAuthorities(route: HttpRoute, path: FieldPath): readonly Problem[] {
  const request = route.headers?.request;
  const places: FieldPath[] = [
    ...((route.rewrite?.authority ?? "") === "" ? [] : [[...path, "rewrite", "authority"]]),
    ...(["set", "add"] as const).flatMap((kind) =>
      Object.entries(request?.[kind] ?? {})
        .filter(([name, value]) => isAuthority(name) && value !== "")
        .map(([name]) => [...path, "headers", "request", kind, name]),
    ),
  ];
  const second = places[1];
  return second === undefined ? [] : [error("WEFT0342", second, "the authority is set more than once", "keep `rewrite.authority` alone")];
}

/** One set of conditions at `path`. */
function checkHttpMatch(match: HttpMatch, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [
    ...checkMatchedHeaders(match.headers, [...path, "headers"]),
    ...checkMatchedHeaders(match.withoutHeaders, [...path, "withoutHeaders"]),
    ...checkStringMatch(match.uri, [...path, "uri"], "allowed"),
    ...(["scheme", "method", "authority"] as const).flatMap((field) => checkStringMatch(match[field], [...path, field])),
    ...Object.entries(match.queryParams).flatMap(([name, value]) => checkStringMatch(value, [...path, "queryParams", name])),
    ...checkGatewayNames(match.gateways, [...path, "gateways"]),
  ];
  const labels = labelsOfFault(match.sourceLabels);
  if (labels !== undefined) problems.push(error("WEFT0336", [...path, "sourceLabels"], labels, "use letters, digits, -, _ and ., at most 63"));
  const { sourceNamespace = "" } = match;
  if (sourceNamespace !== "" && !isDnsLabel(sourceNamespace)) {
    problems.push(
      error("WEFT0337", [...path, "sourceNamespace"], `"${sourceNamespace}" is not the name of a namespace`, "use letters, digits and -, at most 63"),
    );
  }
  return problems;
}

/** `*` is no RE2, but asks for the header's presence where headers are excluded; Istio and Weft take it so. */
const ANY_VALUE = "*";

function checkMatchedHeaders(headers: Readonly<Record<string, StringMatch>>, path: FieldPath): readonly Problem[] {
  const excluded = path.at(-1) === "withoutHeaders";
  return Object.entries(headers).flatMap(([name, match]) => {
    const at = [...path, name];
    const anyValue = excluded && match.kind === "regex" && match.value === ANY_VALUE;
    return [...checkMatchedHeader(name, at), ...(anyValue ? [] : checkStringMatch(match, at))];
  });
}
