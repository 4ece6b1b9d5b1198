// The order in which the routes of VirtualServices apply that speak for one host. Each VirtualService's own order stands; between them the more specific
// condition comes first, then (namespace, name). Under `defaults: istio` the older VirtualService comes first, as a whole, and what matches everything last.
import type { StringMatch } from "../model/fields.ts";
import type { VirtualService } from "../model/resource.ts";
import type { HttpMatch } from "../model/virtual-service.ts";
import { expandDelegates, type WrittenRoute } from "./delegates.ts";
import type { Mesh } from "./mesh.ts";

/** A route under one of its conditions; those of one route are ORed. */
export interface MatchedRoute extends WrittenRoute {
  /** Absent for a route without conditions. */
  readonly match: HttpMatch | undefined;
}

/** The routes of all of `virtualServices`, which are in the mesh's order, in the order in which the first that matches takes a request. */
export function orderedRoutes(
  { settings, virtualServices: all }: Pick<Mesh, "settings" | "virtualServices">,
  virtualServices: readonly VirtualService[],
): readonly MatchedRoute[] {
  const lists = virtualServices.map((virtualService) => expandDelegates(all, virtualService).routes.flatMap(matchesOf));
  if (lists.length < 2) return lists.flat();
  if (settings.defaults === "weft") return mergeBySpecificity(lists);
  const joined = lists.flat();
  return [...joined.filter(({ match }) => !takesAll(match)), ...joined.filter(({ match }) => takesAll(match))];
}

function matchesOf(written: WrittenRoute): readonly MatchedRoute[] {
  const { match } = written.route;
  return match.length === 0 ? [{ ...written, match: undefined }] : match.map((condition) => ({ ...written, match: condition }));
}

/** Takes from the lists' heads, the most specific first, but none that would hide a more specific route that another list still holds. */
function mergeBySpecificity(lists: readonly (readonly MatchedRoute[])[]): readonly MatchedRoute[] {
  const rest = lists.map((list) => [...list]);
  const merged: MatchedRoute[] = [];
  for (;;) {
    const heads = rest.flatMap((list, index) => (list[0] === undefined ? [] : [{ head: list[0], index }]));
    if (heads.length === 0) return merged;
    const free = heads.filter(({ head, index }) => !rest.some((others, other) => other !== index && others.some((route) => hides(head, route))));
    // Where each hides another, their own orders contradict: the most specific head it is.
    const [first] = (free.length > 0 ? free : heads).sort((a, b) => compareSpecificity(a.head.match, b.head.match) || a.index - b.index);
    if (first === undefined) return merged;
    merged.push(...(rest[first.index]?.splice(0, 1) ?? []));
  }
}

function hides(first: MatchedRoute, second: MatchedRoute): boolean {
  return mayMeet(first.match?.uri, second.match?.uri) && compareSpecificity(first.match, second.match) > 0;
}

/** Whether some path fulfils both. */
function mayMeet(a: StringMatch | undefined, b: StringMatch | undefined): boolean {
  if (a === undefined || b === undefined || a.kind === "regex" || b.kind === "regex" || a.kind === "present" || b.kind === "present") return true;
  if (a.kind === "exact") return b.kind === "exact" ? a.value === b.value : a.value.startsWith(b.value);
  return b.kind === "exact" ? b.value.startsWith(a.value) : a.value.startsWith(b.value) || b.value.startsWith(a.value);
}

/** Negative where `a` is more specific: an exact path, then a regular expression, then the longer prefix; then a method, then more headers, then more parameters. Source: Gateway API, HTTPRouteRule.matches. */
function compareSpecificity(a: HttpMatch | undefined, b: HttpMatch | undefined): number {
  const left = specificity(a);
  return specificity(b).reduce((order, value, index) => order || value - (left[index] ?? 0), 0);
}

function specificity(match: HttpMatch | undefined): readonly number[] {
  if (match === undefined) return [0, 0, 0, 0, 0, 0];
  const { uri, method, authority, scheme, headers, withoutHeaders, queryParams } = match;
  const kind = uri?.kind === "exact" ? 3 : uri?.kind === "regex" && uri.value !== ".*" ? 2 : uri?.kind === "prefix" && uri.value !== "/" ? 1 : 0;
  const length = kind === 0 || uri === undefined || uri.kind === "present" ? 0 : uri.value.length;
  const others = [authority, scheme].filter((condition) => condition !== undefined).length;
  const headerCount = Object.keys(headers).length + Object.keys(withoutHeaders).length + others;
  return [kind, length, method === undefined ? 0 : 1, headerCount, Object.keys(queryParams).length, sourceConditions(match)];
}

function sourceConditions({ port, sourceLabels, sourceNamespace, gateways }: HttpMatch): number {
  return Object.keys(sourceLabels).length + [port, sourceNamespace].filter((condition) => condition !== undefined).length + (gateways.length > 0 ? 1 : 0);
}

/** Whether a condition holds for every request of the callers that it is for. Source: Istio, isCatchAllMatch. */
function takesAll(match: HttpMatch | undefined): boolean {
  return specificity(match)
    .slice(0, 5)
    .every((value) => value === 0);
}

/** Whether every request that fulfils `second` fulfils `first` too, as far as the texts show. */
export function covers(first: HttpMatch | undefined, second: HttpMatch | undefined): boolean {
  if (first === undefined) return true;
  const conditions = (["scheme", "method", "authority"] as const).every((field) => first[field] === undefined || equal(first[field], second?.[field]));
  const maps = (["headers", "withoutHeaders", "queryParams", "sourceLabels"] as const).every((field) =>
    Object.entries(first[field]).every(([name, condition]) => equal(condition, second?.[field][name])),
  );
  const source =
    (first.port === undefined || first.port === second?.port) &&
    (first.sourceNamespace === undefined || first.sourceNamespace === second?.sourceNamespace) &&
    (first.gateways.length === 0 || equal(first.gateways, second?.gateways));
  return conditions && maps && source && coversPath(first, second);
}

function coversPath(first: HttpMatch, second: HttpMatch | undefined): boolean {
  const { uri } = first;
  if (uri === undefined || uri.kind === "present" || (uri.kind === "prefix" && uri.value === "/") || (uri.kind === "regex" && uri.value === ".*")) return true;
  const other = second?.uri;
  if (other === undefined || first.ignoreUriCase !== second?.ignoreUriCase) return false;
  if (uri.kind !== "prefix" || other.kind === "regex" || other.kind === "present") return equal(uri, other);
  return other.value.startsWith(uri.value);
}

function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
