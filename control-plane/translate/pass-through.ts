// Names that the mesh does not know: resolved and called by Envoy as they are (ALLOW_ANY), or refused (REGISTRY_ONLY).
import { create, toBinary } from "@bufbuild/protobuf";
import { Cluster_DnsLookupFamily, Cluster_LbPolicy, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterConfigSchema } from "../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import type { DnsCacheConfigSchema } from "../gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js";
import { FilterConfigSchema } from "../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
import type { HttpFilterSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { packAny } from "./any.ts";
import { circuitBreakers, connectionFields } from "./connection-pool.ts";
import { CLUSTER_DEFAULTS } from "./defaults.ts";
import type { RouteInit } from "./forward.ts";
import type { Init } from "./init.ts";
import { PASSTHROUGH_CLUSTER } from "./names.ts";
import type { TranslatedResource } from "./resource.ts";
import { directResponse, timeouts } from "./route-action.ts";
import { MATCH_ALL } from "./route-match.ts";

/** The filter and the cluster find each other by this cache, so both must describe it alike. */
export const DNS_CACHE: Init<typeof DnsCacheConfigSchema> = { name: "pass-through", dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED };

/** Resolves a request's host before it is routed; without effect on routes to other clusters. */
export const PASS_THROUGH_FILTER: Init<typeof HttpFilterSchema> = {
  name: "envoy.filters.http.dynamic_forward_proxy",
  configType: { case: "typedConfig", value: packAny(FilterConfigSchema, { implementationSpecifier: { case: "dnsCacheConfig", value: DNS_CACHE } }) },
};

const LIMITS = CLUSTER_DEFAULTS.istio;

/** The cluster of all unknown names, which are called as patiently as in Istio: they are far away, and there is no other host to turn to. Source: Envoy, "HTTP dynamic forward proxy". */
function passThroughCluster(): TranslatedResource {
  const cluster = create(ClusterSchema, {
    name: PASSTHROUGH_CLUSTER,
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    ...connectionFields(undefined, LIMITS),
    circuitBreakers: circuitBreakers({}, LIMITS),
    clusterDiscoveryType: {
      case: "clusterType",
      value: {
        name: "envoy.clusters.dynamic_forward_proxy",
        typedConfig: packAny(ClusterConfigSchema, { clusterImplementationSpecifier: { case: "dnsCacheConfig", value: DNS_CACHE } }),
      },
    },
  });
  return { type: "cluster", name: PASSTHROUGH_CLUSTER, body: toBinary(ClusterSchema, cluster), origins: [], needs: [] };
}

/** {@link passThroughCluster}, one object for all proxies. */
export const PASS_THROUGH = passThroughCluster();

/** Routes of names that the mesh does not know. Names and answers are Istio's. */
export function unknownNameRoutes(mode: "ALLOW_ANY" | "REGISTRY_ONLY"): RouteInit[] {
  if (mode === "REGISTRY_ONLY") {
    const refusal = directResponse({ status: 502, body: { string: "the mesh does not know this host, and outboundTrafficPolicy is REGISTRY_ONLY\n" } });
    const action = { case: "directResponse", value: refusal } as const;
    return [
      { name: "block_all", match: CONNECT_MATCH, action },
      { name: "block_all", match: MATCH_ALL, action },
    ];
  }
  const action = { ...timeouts(undefined), clusterSpecifier: { case: "cluster", value: PASSTHROUGH_CLUSTER } } as const;
  return [tunnelRoute(PASSTHROUGH_CLUSTER), { name: "allow_any", match: MATCH_ALL, action: { case: "route", value: action } }];
}

export const CONNECT_MATCH = { pathSpecifier: { case: "connectMatcher", value: {} } } as const;

/** CONNECT, by which clients have a proxy pass https (and some all) on as bytes: no rule for requests applies to what is inside. */
export function tunnelRoute(cluster: string): RouteInit {
  return {
    name: "tunnel",
    match: CONNECT_MATCH,
    action: {
      case: "route",
      value: { ...timeouts(undefined), clusterSpecifier: { case: "cluster", value: cluster }, upgradeConfigs: [{ upgradeType: "CONNECT", connectConfig: {} }] },
    },
  };
}
