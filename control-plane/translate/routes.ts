// Routes for the requests of one place (a proxy, the port they called, the gateway they came in by): a VirtualService, or a service without one, in; Envoy's
// routes out, with the clusters that they name and the YAML that they come from.

import { FilterConfigSchema, type RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type ResolvedDestination, resolveDestination } from "../mesh/destination.ts";
import { gatewayKey, MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Proxy } from "../mesh/instance.ts";
import { interceptSubset, interceptsOf } from "../mesh/intercepts.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { destinationRuleFor } from "../mesh/policy.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel, type VirtualService } from "../model/resource.ts";
import type { HttpRoute, HttpRouteDestination } from "../model/virtual-service.ts";
import { packAny } from "./any.ts";
import { canonicalText } from "./canonical-text.ts";
import { type Choice, chooseAmong, type RoutedDestination } from "./decision.ts";
import { decisionId, type StickyKey } from "./decision-record.ts";
import { FAULT_FILTER, httpFault } from "./faults.ts";
import { authorityOf, type HeaderChanges, headerChanges, joinHeaderChanges } from "./header-operations.ts";
import type { Init } from "./init.ts";
import { mirrorPolicy, mirrorsOf } from "./mirrors.ts";
import { type ClusterKey, FILTER, outboundClusterName, PICK_HEADER } from "./names.ts";
import { type ResourceOrigin, resourceOrigin } from "./resource.ts";
import { REPEATABLE_METHODS, type Retries, type RetryPolicyInit, retriesOf } from "./retries.ts";
import { directResponse, hashPolicies, pathRewrite, type RouteActionInit, redirectAction, timeouts, zoneKeyOf } from "./route-action.ts";
import { holdsForSource, MATCH_ALL, matchesAll, type RequestSource, type RouteMatchInit, routeMatch, withHeader, withMethods } from "./route-match.ts";
import { stickyGroupOf, stickyKeyOf } from "./sticky.ts";

export type RouteInit = Init<typeof RouteSchema>;

/** What routes are made for. `source.authority`, where it is set, is also the Host that goes upstream. */
export interface RoutePlace {
  readonly mesh: Mesh;
  readonly proxy: Proxy;
  readonly source: RequestSource;
}

export interface RouteSet {
  readonly routes: readonly RouteInit[];
  /** Those of `routes` that take every request that comes to them, alone or as a pair for different methods. */
  readonly catchAll: ReadonlySet<RouteInit>;
  /** Every cluster that a route or a mirror names. */
  readonly clusters: readonly ClusterKey[];
  /** Most specific first. */
  readonly origins: readonly ResourceOrigin[];
  readonly diagnostics: readonly Diagnostic[];
}

export const NO_ROUTES: RouteSet = { routes: [], catchAll: new Set(), clusters: [], origins: [], diagnostics: [] };

/** The sets one after the other. */
export function joinRouteSets(sets: readonly RouteSet[]): RouteSet {
  return {
    routes: sets.flatMap(({ routes }) => routes),
    catchAll: new Set(sets.flatMap(({ catchAll }) => [...catchAll])),
    clusters: sets.flatMap(({ clusters }) => clusters),
    origins: sets.flatMap(({ origins }) => origins),
    diagnostics: sets.flatMap(({ diagnostics }) => diagnostics),
  };
}

/**
 * The routes of a VirtualService that can hold for the place, in the order of the YAML, up to the first that matches every request. Empty where none can:
 * the VirtualService then says nothing about these requests.
 */
export function routesOf(place: RoutePlace, virtualService: VirtualService): RouteSet {
  const sets: RouteSet[] = [];
  const keysOf = (names: readonly string[]): readonly string[] =>
    names.map((name) => (name === MESH_GATEWAY ? MESH_GATEWAY : gatewayKey(name, virtualService.namespace)));
  for (const [index, route] of virtualService.spec.http.entries()) {
    const held = route.match.filter((match) => holdsForSource(match, keysOf, place.source));
    if (route.match.length > 0 && held.length === 0) continue;
    const matches =
      route.match.length === 0
        ? [{ match: MATCH_ALL, statPrefix: "" }]
        : held.map((match) => ({ match: routeMatch(match, place.source), statPrefix: match.statPrefix ?? "" }));
    sets.push(...interceptedRoutes(place, virtualService, route, index, matches));
    const { template, ...rest } = translateRoute(place, virtualService, route, index);
    const made = matches.map(({ match, statPrefix }) => ({ all: matchesAll(match), routes: routesFor(template, match, statPrefix) }));
    const catchAll = new Set(made.filter(({ all }) => all).flatMap(({ routes }) => routes));
    sets.push({ ...rest, routes: made.flatMap(({ routes }) => routes), catchAll });
    if (catchAll.size > 0) break;
  }
  if (sets.length === 0) return NO_ROUTES;
  const joined = joinRouteSets(sets);
  return { ...joined, origins: [resourceOrigin(virtualService), ...joined.origins] };
}

/**
 * Before a route that leads to a service with an intercept: the same for the requests that bear its header, and to it alone. They go by whatever else the
 * route does, since they are the same requests.
 */
function interceptedRoutes(
  place: RoutePlace,
  virtualService: VirtualService,
  route: HttpRoute,
  index: number,
  matches: readonly { readonly match: RouteMatchInit; readonly statPrefix: string }[],
): readonly RouteSet[] {
  const taken = new Set<string>();
  return route.route.flatMap((entry) => {
    if (entry.weight === 0 && route.route.length > 1) return [];
    const { hostname, port } = resolveDestination(place.mesh, place.proxy, virtualService.namespace, entry.destination, place.source.port);
    return interceptsOf(place.mesh.hosts.get(hostname), port).flatMap((intercept): readonly RouteSet[] => {
      const subset = interceptSubset(intercept);
      if (taken.has(subset)) return [];
      taken.add(subset);
      const destination = { host: hostname, port: { number: port }, subset };
      const { template, ...rest } = translateRoute(place, virtualService, { ...route, route: [{ ...entry, destination, weight: 1 }] }, index);
      const routes = matches.flatMap(({ match, statPrefix }) => routesFor(template, withHeader(match, intercept.header, intercept.value), statPrefix));
      return [{ ...rest, routes, catchAll: new Set() }];
    });
  });
}

/** The routes of a service's port that no VirtualService speaks about: those of its intercepts, then the one for all requests. */
export function defaultRoutes(place: RoutePlace, host: Host, port: number): RouteSet {
  const plain = plainRoutes(place, host, port, MATCH_ALL, "");
  const intercepted = interceptsOf(host, port).map((intercept) =>
    plainRoutes(place, host, port, withHeader(MATCH_ALL, intercept.header, intercept.value), interceptSubset(intercept)),
  );
  return joinRouteSets([...intercepted, { ...plain, catchAll: new Set(plain.routes) }]);
}

function plainRoutes(place: RoutePlace, host: Host, port: number, match: RouteMatchInit, subset: string): RouteSet {
  const destination = { host: host.hostname, port: { number: port }, ...(subset === "" ? {} : { subset }) };
  const resolved = resolveDestination(place.mesh, place.proxy, host.namespace, destination, port);
  const salt = `${host.namespace}/${host.name}/default`;
  const forwarded = forward(place, [{ written: { destination, weight: 1 }, resolved }], { key: { kind: "none" }, salt });
  const template: RouteTemplate = {
    route: { ...forwarded.route, name: "default" },
    action: { ...timeouts(undefined), ...forwarded.action },
    retries: retriesOf(undefined, place.mesh.settings.defaults, forwarded.hashed),
  };
  return { routes: routesFor(template, match, ""), catchAll: new Set(), clusters: forwarded.clusters, origins: forwarded.origins, diagnostics: [] };
}

/** A route without its match. */
interface RouteTemplate {
  readonly route: RouteInit;
  /** Where requests are forwarded; absent where the route answers by itself. */
  readonly action?: RouteActionInit;
  readonly retries: Retries;
}

type TranslatedRoute = Omit<RouteSet, "routes" | "catchAll"> & { readonly template: RouteTemplate };

function translateRoute(place: RoutePlace, virtualService: VirtualService, route: HttpRoute, index: number): TranslatedRoute {
  const name = `${virtualService.name}.${virtualService.namespace}/${routeKey(route)}`;
  const changes = headerChanges(route.headers);
  const answering = (action: NonNullable<RouteInit["action"]>): TranslatedRoute => ({
    template: { route: { name, ...changes, action }, retries: { kind: "none" } },
    clusters: [],
    origins: [],
    diagnostics: [],
  });
  if (route.redirect) return answering({ case: "redirect", value: redirectAction(route.redirect, place.source.port) });
  if (route.directResponse) return answering({ case: "directResponse", value: directResponse(route.directResponse) });
  // A delegate, which is not built yet.
  if (route.route.length === 0) return answering({ case: "directResponse", value: directResponse({ status: 404 }) });
  const destinations = liveDestinations(place, virtualService, route);
  const options = { key: stickyKeyOf(virtualService.annotations), salt: saltOf(virtualService, route) };
  const authority = route.rewrite?.authority ?? authorityOf(route.headers);
  const forwarded = forward(place, destinations, options, { changes, authority });
  const mirrors = mirrorsOf(route).flatMap(({ destination, percent }) => {
    const { known, hostname, port, subset } = resolveDestination(place.mesh, place.proxy, virtualService.namespace, destination, place.source.port);
    return known ? [{ key: { hostname, port, subset }, percent }] : [];
  });
  const action: RouteActionInit = {
    ...timeouts(route.timeout),
    ...pathRewrite(route),
    ...forwarded.action,
    requestMirrorPolicies: mirrors.map(({ key, percent }) => mirrorPolicy(outboundClusterName(key), percent)),
  };
  const fault = httpFault(route.fault);
  return {
    template: {
      // Keys in byte order: a protobuf map keeps the order of insertion.
      route: { ...forwarded.route, name, typedPerFilterConfig: { ...(fault && { [FAULT_FILTER]: fault }), ...forwarded.route.typedPerFilterConfig } },
      action,
      retries: retriesOf(route.retries, place.mesh.settings.defaults, forwarded.hashed),
    },
    clusters: [...forwarded.clusters, ...mirrors.map(({ key }) => key)],
    origins: forwarded.origins,
    diagnostics: forwarded.refusal === undefined ? [] : [tooLargeToDecide(virtualService, index, forwarded.refusal)],
  };
}

interface LiveDestination {
  readonly written: HttpRouteDestination;
  readonly resolved: ResolvedDestination;
}

/**
 * The destinations that requests are divided among: those with endpoints; all of them where none has any, so that the failure shows them.
 * A weight of 0 beside others leaves a destination out.
 */
function liveDestinations({ mesh, proxy, source }: RoutePlace, virtualService: VirtualService, route: HttpRoute): readonly LiveDestination[] {
  const weighted = route.route.filter(({ weight }) => weight > 0);
  const written = route.route.length > 1 && weighted.length > 0 ? weighted : route.route;
  const resolved = written.map((entry) => ({
    written: entry,
    resolved: resolveDestination(mesh, proxy, virtualService.namespace, entry.destination, source.port),
  }));
  const alive = resolved.filter((entry) => entry.resolved.endpoints > 0);
  return alive.length > 0 ? alive : resolved;
}

interface Forwarded {
  readonly route: RouteInit;
  readonly action: RouteActionInit;
  readonly clusters: readonly ClusterKey[];
  readonly origins: readonly ResourceOrigin[];
  /** Hosts are chosen by a consistent hash. */
  readonly hashed: boolean;
  readonly refusal?: string | undefined;
}

interface DestinationChanges {
  readonly headers: HeaderChanges;
  readonly authority: string | undefined;
}

const NO_CHANGES = { changes: headerChanges(undefined), authority: undefined };

/** Forwards to the destinations: to one cluster, or to the one that is chosen for each request. */
function forward(
  place: RoutePlace,
  destinations: readonly LiveDestination[],
  options: { readonly key: StickyKey; readonly salt: string },
  ofRoute: { readonly changes: HeaderChanges; readonly authority: string | undefined } = NO_CHANGES,
): Forwarded {
  const [first, ...others] = destinations.map(routedDestination);
  if (first === undefined) throw new Error("a route forwards to at least one destination");
  const hashes = destinations.flatMap(({ resolved }) => (resolved.consistentHash === undefined ? [] : [resolved.consistentHash]));
  const zoneKey = zoneKeyOf(hashes);
  const choice = chooseAmong<DestinationChanges>([first, ...others], {
    ...options,
    ...(zoneKey === undefined ? {} : { zoneKey }),
    decisions: place.mesh.settings.decisions,
  });
  const { route, action } = choiceOf(choice, options.key, ofRoute.changes);
  const authority = ofRoute.authority ?? (choice.kind === "single" ? choice.changes.authority : undefined) ?? place.source.authority;
  return {
    route,
    action: {
      ...action,
      ...(authority === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: authority } }),
      hashPolicy: hashPolicies(hashes),
    },
    clusters: destinations.flatMap(({ resolved }) => resolved.entries.map(({ cluster }) => cluster)),
    origins: originsOf(place, destinations),
    hashed: hashes.length > 0,
    refusal: choice.kind === "weighted" ? choice.refusal : undefined,
  };
}

function routedDestination({ written, resolved }: LiveDestination): RoutedDestination<DestinationChanges> {
  const { hostname, port, subset, entries } = resolved;
  return {
    weight: written.weight,
    host: hostname,
    port,
    subset,
    changes: { headers: headerChanges(written.headers), authority: authorityOf(written.headers) },
    changesText: canonicalText(written.headers ?? {}),
    entries,
  };
}

/** The part of a route that says which cluster takes a request. */
function choiceOf(choice: Choice<DestinationChanges>, key: StickyKey, changes: HeaderChanges): { readonly route: RouteInit; readonly action: RouteActionInit } {
  if (choice.kind === "single") {
    return { route: joinHeaderChanges(changes, choice.changes.headers), action: { clusterSpecifier: { case: "cluster", value: choice.cluster } } };
  }
  const clusters = choice.entries.map(({ cluster, width, changes: { headers, authority } }) => ({
    name: cluster,
    weight: width,
    ...headers,
    ...(authority === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } }),
  }));
  const { decision } = choice;
  if (decision === undefined) return { route: changes, action: { clusterSpecifier: { case: "weightedClusters", value: { clusters } } } };
  return {
    route: {
      ...changes,
      metadata: { filterMetadata: { [FILTER]: { decision: decision.decision, id: decision.id } } },
      // An empty `config` turns the filter on for this route with the configuration that it has.
      typedPerFilterConfig: { [FILTER]: packAny(FilterConfigSchema, { config: {} }) },
      requestHeadersToRemove: [...changes.requestHeadersToRemove, PICK_HEADER],
      responseHeadersToAdd: [...changes.responseHeadersToAdd, ...generatedCookie(key)],
    },
    action: { clusterSpecifier: { case: "weightedClusters", value: { clusters, randomValueSpecifier: { case: "headerName", value: PICK_HEADER } } } },
  };
}

/** The cookie that the filter has made for a client without one; absent where it has made none. */
function generatedCookie(key: StickyKey): HeaderChanges["responseHeadersToAdd"] {
  if (key.kind !== "cookie" || key.attributes === undefined) return [];
  return [{ header: { key: "set-cookie", value: "%FILTER_STATE(wasm.ck:PLAIN)%" }, keepEmptyValue: false }];
}

/** One route, or a pair with the same name: a retry policy belongs to a route, and some methods must not be sent twice. */
function routesFor({ route, action, retries }: RouteTemplate, match: RouteMatchInit, statPrefix: string): readonly RouteInit[] {
  if (action === undefined) return [{ ...route, match, statPrefix }];
  const retrying = (part: RouteMatchInit, retryPolicy: RetryPolicyInit | undefined): RouteInit => ({
    ...route,
    match: part,
    statPrefix,
    action: { case: "route", value: retryPolicy === undefined ? action : { ...action, retryPolicy } },
  });
  switch (retries.kind) {
    case "none":
      return [retrying(match, undefined)];
    case "alike":
      return [retrying(match, retries.policy)];
    case "by method":
      return [retrying(withMethods(match, REPEATABLE_METHODS), retries.repeatable), retrying(match, retries.others)];
  }
}

/** The route's name, else a hash of what it matches: never its place in the list, so that adding a route moves nobody. */
export function routeKey(route: HttpRoute): string {
  if (route.name !== undefined && route.name !== "") return route.name;
  return route.match.length === 0 ? "default" : `match-${decisionId(canonicalText(route.match)).slice(0, 8)}`;
}

function saltOf(virtualService: VirtualService, route: HttpRoute): string {
  return stickyGroupOf(virtualService.annotations) ?? `${virtualService.namespace}/${virtualService.name}/${routeKey(route)}`;
}

/** The services, and the DestinationRules that say how hosts are chosen. */
function originsOf({ mesh, proxy }: RoutePlace, destinations: readonly LiveDestination[]): readonly ResourceOrigin[] {
  return destinations.flatMap(({ resolved }) => {
    const service = mesh.hosts.get(resolved.hostname)?.service;
    const rule = resolved.consistentHash === undefined && resolved.subset === "" ? undefined : destinationRuleFor(mesh, proxy, resolved.hostname);
    return [...(rule === undefined ? [] : [resourceOrigin(rule)]), ...(service === undefined ? [] : [resourceOrigin(service)])];
  });
}

function tooLargeToDecide(virtualService: VirtualService, index: number, refusal: string): Diagnostic {
  return {
    code: "WEFT0501",
    severity: "warning",
    origin: virtualService.locate(["spec", "http", index, "route"]),
    resource: resourceLabel(virtualService),
    what: `the filter cannot hold this route (${refusal}), so Envoy draws by weight alone and nobody stays where they were`,
    fix: "use fewer destinations, or shorter names",
  };
}
