// Route configurations and virtual hosts as resources: a set of routes in, with its names; out comes what Envoy gets, and which clusters it needs.
import { create, toBinary } from "@bufbuild/protobuf";
import { VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import type { Diagnostic } from "../model/diagnostic.ts";
import { ADS } from "./config-source.ts";
import type { Init } from "./init.ts";
import { type ClusterKey, outboundClusterName, RETRY_MARKER_HEADER } from "./names.ts";
import { type TranslatedResource, uniqueOrigins } from "./resource.ts";
import type { RouteSet } from "./routes.ts";

export type VirtualHostInit = Init<typeof VirtualHostSchema>;

/** A route configuration or virtual host, and the clusters that it names. */
export interface RoutingResource {
  readonly resource: TranslatedResource;
  readonly clusters: readonly ClusterKey[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Envoy's own limit is 4 KB; Istio validates direct responses up to 1 MB. */
const LARGEST_DIRECT_RESPONSE_BYTES = 1_048_576;

/** What the route configurations of all outbound traffic have in common: the marker is between the proxies, no program sees it. */
const COMMON: Init<typeof RouteConfigurationSchema> = {
  responseHeadersToRemove: [RETRY_MARKER_HEADER],
  maxDirectResponseBodySizeBytes: LARGEST_DIRECT_RESPONSE_BYTES,
};

/** A route configuration with its virtual hosts inside. `set` holds the routes of all of them. */
export function routeConfiguration(
  name: string,
  virtualHosts: VirtualHostInit[],
  set: Omit<RouteSet, "routes">,
  init: Init<typeof RouteConfigurationSchema> = {},
): RoutingResource {
  const body = toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, { ...COMMON, ...init, name, virtualHosts }));
  return routing({ type: "route", name, body, origins: uniqueOrigins(set.origins), needs: clusterNeeds(set.clusters) }, set);
}

/** A route configuration whose virtual hosts come by VHDS. */
export function vhdsRouteConfiguration(name: string): TranslatedResource {
  const body = toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, { ...COMMON, name, vhds: { configSource: ADS } }));
  return { type: "route", name, body, origins: [], needs: [] };
}

/** A virtual host that comes by VHDS. `otherNeeds`: clusters that no key names. */
export function virtualHost(
  route: string,
  init: VirtualHostInit & { readonly name: string },
  set: Omit<RouteSet, "routes">,
  otherNeeds: readonly string[] = [],
): RoutingResource {
  const body = toBinary(VirtualHostSchema, create(VirtualHostSchema, init));
  const needs = [`route/${route}`, ...clusterNeeds(set.clusters), ...otherNeeds];
  return routing({ type: "virtualHost", name: init.name, body, origins: uniqueOrigins(set.origins), needs }, set);
}

function routing(resource: TranslatedResource, { clusters, diagnostics }: Omit<RouteSet, "routes">): RoutingResource {
  return { resource, clusters: [...new Map(clusters.map((key) => [outboundClusterName(key), key])).values()], diagnostics };
}

function clusterNeeds(clusters: readonly ClusterKey[]): readonly string[] {
  return [...new Set(clusters.map((key) => `cluster/${outboundClusterName(key)}`))];
}
