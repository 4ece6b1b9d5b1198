// Where a route's requests go: its destinations in, the clusters in Envoy's terms out, with what decides between them and what each does to the request.
import { FilterConfigSchema, type RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type ResolvedDestination, resolveDestination } from "../mesh/destination.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { destinationRuleFor } from "../mesh/policy.ts";
import type { HttpRoute, HttpRouteDestination } from "../model/virtual-service.ts";
import { packAny } from "./any.ts";
import { canonicalText } from "./canonical-text.ts";
import { type Choice, chooseAmong, type RoutedDestination } from "./decision.ts";
import type { StickyKey } from "./decision-record.ts";
import { authorityOf, type HeaderChanges, headerChanges, joinHeaderChanges } from "./header-operations.ts";
import type { Init } from "./init.ts";
import { type ClusterKey, FILTER, PICK_HEADER } from "./names.ts";
import { type ResourceOrigin, resourceOrigin } from "./resource.ts";
import { hashPolicies, type RouteActionInit, zoneKeyOf } from "./route-action.ts";
import type { RequestSource } from "./route-match.ts";

export type RouteInit = Init<typeof RouteSchema>;

/** What routes are made for. `source.authority`, where it is set, is also the Host that goes upstream. */
export interface RoutePlace {
  readonly mesh: Mesh;
  readonly proxy: Proxy;
  readonly source: RequestSource;
}

/** A destination as it is written, and what it leads to. */
export interface LiveDestination {
  readonly written: HttpRouteDestination;
  readonly resolved: ResolvedDestination;
}

/**
 * The destinations that requests are divided among: those with endpoints; all of them where none has any, so that the failure shows them.
 * A weight of 0 beside others leaves a destination out.
 */
export function liveDestinations({ mesh, proxy, source }: RoutePlace, namespace: string, route: Pick<HttpRoute, "route">): readonly LiveDestination[] {
  const weighted = route.route.filter(({ weight }) => weight > 0);
  const written = route.route.length > 1 && weighted.length > 0 ? weighted : route.route;
  const resolved = written.map((entry) => ({
    written: entry,
    resolved: resolveDestination(mesh, proxy, namespace, entry.destination, source.port),
  }));
  const alive = resolved.filter((entry) => entry.resolved.endpoints > 0);
  return alive.length > 0 ? alive : resolved;
}

/** The forwarding part of a route. */
export interface Forwarded {
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
export function forward(
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

/** The services, and the DestinationRules that say how hosts are chosen. */
function originsOf({ mesh, proxy }: RoutePlace, destinations: readonly LiveDestination[]): readonly ResourceOrigin[] {
  return destinations.flatMap(({ resolved }) => {
    const service = mesh.hosts.get(resolved.hostname)?.service;
    const rule = resolved.consistentHash === undefined && resolved.subset === "" ? undefined : destinationRuleFor(mesh, proxy, resolved.hostname);
    return [...(rule === undefined ? [] : [resourceOrigin(rule)]), ...(service === undefined ? [] : [resourceOrigin(service)])];
  });
}
