// Routes for the requests of one place (a proxy, the port they called, the gateway they came in by): a VirtualService, or a service without one, in; Envoy's
// routes out, with the clusters that they name and the YAML that they come from.

import { resolveDestination } from "../mesh/destination.ts";
import { gatewayKey, MESH_GATEWAY } from "../mesh/gateways.ts";
import { interceptSubset, interceptsOf } from "../mesh/intercepts.ts";
import type { Host } from "../mesh/mesh.ts";
import { type MatchedRoute, orderedRoutes } from "../mesh/route-order.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel, type VirtualService } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import { canonicalText } from "./canonical-text.ts";
import { CORS_FILTER, corsPolicy } from "./cors.ts";
import { decisionId } from "./decision-record.ts";
import { FAULT_FILTER, httpFault } from "./faults.ts";
import { forward, liveDestinations, type RouteInit, type RoutePlace } from "./forward.ts";
import { authorityOf, headerChanges } from "./header-operations.ts";
import { mirrorPolicy, mirrorsOf } from "./mirrors.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { type ResourceOrigin, resourceOrigin, uniqueOrigins } from "./resource.ts";
import { REPEATABLE_METHODS, type Retries, type RetryPolicyInit, retriesOf } from "./retries.ts";
import { directResponse, pathRewrite, type RouteActionInit, redirectAction, timeouts } from "./route-action.ts";
import { holdsForSource, MATCH_ALL, matchesAll, type RouteMatchInit, routeMatch, withHeader, withMethods } from "./route-match.ts";
import { semanticsOf } from "./route-semantics.ts";
import { stickyGroupOf, stickyKeyOf } from "./sticky.ts";

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
 * The routes of the VirtualServices of one host that can hold for the place, in the order in which they apply, up to the first that matches every request.
 * Empty where none can: they then say nothing about these requests.
 */
export function routesOf(place: RoutePlace, virtualServices: readonly VirtualService[]): RouteSet {
  const sets: RouteSet[] = [];
  const translated = new Map<HttpRoute, TranslatedRoute>();
  const roots = new Set<VirtualService>();
  for (const written of orderedRoutes(place.mesh, virtualServices)) {
    const { match, owner, root } = written;
    const keysOf = (names: readonly string[]): readonly string[] =>
      names.map((name) => (name === MESH_GATEWAY ? MESH_GATEWAY : gatewayKey(name, owner.namespace)));
    if (match !== undefined && !holdsForSource(match, keysOf, place.source)) continue;
    const envoyMatch = match === undefined ? MATCH_ALL : routeMatch(match, place.source, semanticsOf(root.annotations));
    const statPrefix = match?.statPrefix ?? "";
    sets.push(...interceptedRoutes(place, written, envoyMatch, statPrefix));
    const { template, ...rest } = translated.get(written.route) ?? translateRoute(place, written);
    // What a route of several conditions needs is said with the first of them.
    const said = translated.has(written.route) ? { clusters: [], origins: [], diagnostics: [] } : rest;
    translated.set(written.route, { template, ...rest });
    roots.add(root).add(owner);
    const routes = routesFor(template, envoyMatch, statPrefix);
    const all = matchesAll(envoyMatch);
    sets.push({ ...said, routes, catchAll: new Set(all ? routes : []) });
    if (all) break;
  }
  if (sets.length === 0) return NO_ROUTES;
  const joined = joinRouteSets(sets);
  return { ...joined, origins: uniqueOrigins([...[...roots].map(resourceOrigin), ...joined.origins]) };
}

/**
 * Before a route that leads to a service with an intercept: the same for the requests that bear its header, and to it alone. They go by whatever else the
 * route does, since they are the same requests.
 */
function interceptedRoutes(place: RoutePlace, written: MatchedRoute, match: RouteMatchInit, statPrefix: string): readonly RouteSet[] {
  const { owner, route } = written;
  const taken = new Set<string>();
  return route.route.flatMap((entry) => {
    if (entry.weight === 0 && route.route.length > 1) return [];
    const { hostname, port } = resolveDestination(place.mesh, place.proxy, owner.namespace, entry.destination, place.source.port);
    return interceptsOf(place.mesh.hosts.get(hostname), port).flatMap((intercept): readonly RouteSet[] => {
      const subset = interceptSubset(intercept);
      if (taken.has(subset)) return [];
      taken.add(subset);
      const destination = { host: hostname, port: { number: port }, subset };
      const { template, ...rest } = translateRoute(place, { ...written, route: { ...route, route: [{ ...entry, destination, weight: 1 }] } });
      const routes = routesFor(template, withHeader(match, intercept.header, intercept.value), statPrefix);
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

function translateRoute(place: RoutePlace, written: MatchedRoute): TranslatedRoute {
  const { root, owner, route } = written;
  const name = `${root.name}.${root.namespace}/${routeKey(route)}`;
  const changes = headerChanges(route.headers);
  const answering = (action: NonNullable<RouteInit["action"]>): TranslatedRoute => ({
    template: { route: { name, ...changes, action }, retries: { kind: "none" } },
    clusters: [],
    origins: [],
    diagnostics: [],
  });
  if (route.redirect) return answering({ case: "redirect", value: redirectAction(route.redirect, place.source.port) });
  if (route.directResponse) return answering({ case: "directResponse", value: directResponse(route.directResponse) });
  // Nowhere to go, which validation has refused before.
  if (route.route.length === 0) return answering({ case: "directResponse", value: directResponse({ status: 404 }) });
  const destinations = liveDestinations(place, owner.namespace, route);
  const annotations = { ...root.annotations, ...owner.annotations };
  const options = { key: stickyKeyOf(annotations), salt: stickyGroupOf(annotations) ?? `${root.namespace}/${root.name}/${routeKey(route)}` };
  const authority = route.rewrite?.authority ?? authorityOf(route.headers);
  const forwarded = forward(place, destinations, options, { changes, authority });
  const mirrors = mirrorsOf(route).flatMap(({ destination, percent }) => {
    const { known, hostname, port, subset } = resolveDestination(place.mesh, place.proxy, owner.namespace, destination, place.source.port);
    return known ? [{ key: { hostname, port, subset }, percent }] : [];
  });
  const action: RouteActionInit = {
    ...timeouts(route.timeout),
    ...semanticsOf(root.annotations).action,
    ...pathRewrite(route),
    ...forwarded.action,
    requestMirrorPolicies: mirrors.map(({ key, percent }) => mirrorPolicy(outboundClusterName(key), percent)),
  };
  const fault = httpFault(route.fault);
  const cors = corsPolicy(route.corsPolicy);
  return {
    template: {
      // Keys in byte order: a protobuf map keeps the order of insertion.
      route: {
        ...forwarded.route,
        name,
        typedPerFilterConfig: { ...(cors && { [CORS_FILTER]: cors }), ...(fault && { [FAULT_FILTER]: fault }), ...forwarded.route.typedPerFilterConfig },
      },
      action,
      retries: retriesOf(route.retries, place.mesh.settings.defaults, forwarded.hashed),
    },
    clusters: [...forwarded.clusters, ...mirrors.map(({ key }) => key)],
    origins: forwarded.origins,
    diagnostics: forwarded.refusal === undefined ? [] : [tooLargeToDecide(written, forwarded.refusal)],
  };
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

function tooLargeToDecide({ owner, index }: MatchedRoute, refusal: string): Diagnostic {
  return {
    code: "WEFT0501",
    severity: "warning",
    origin: owner.locate(["spec", "http", index, "route"]),
    resource: resourceLabel(owner),
    what: `the filter cannot hold this route (${refusal}), so Envoy draws by weight alone and nobody stays where they were`,
    fix: "use fewer destinations, or shorter names",
  };
}
