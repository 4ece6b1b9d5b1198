// The mesh of service-mesh.ts as Istio configures a sidecar for it: one route configuration per port with every virtual host inside, a cluster for each subset
// that speaks mutual TLS where the endpoint says so, and what it writes into the metadata. Written after istiod 1.31's own output for such a mesh; left out is
// what a stock Envoy does not have (the filters of Istio's build). Secrets come by ADS, as for Weft, instead of from an agent's socket.
import { create, toBinary } from "@bufbuild/protobuf";
import { ClusterSchema } from "../../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "../../../control-plane/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "../../../control-plane/gen/envoy/config/listener/v3/listener_pb.js";
import { RouteConfigurationSchema } from "../../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { RouterSchema } from "../../../control-plane/gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { HttpConnectionManagerSchema } from "../../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { PreviousHostsPredicateSchema } from "../../../control-plane/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { RawBufferSchema } from "../../../control-plane/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import { UpstreamTlsContextSchema } from "../../../control-plane/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import type { Instance } from "../../../control-plane/mesh/instance.ts";
import { packAny } from "../../../control-plane/translate/any.ts";
import { ADS } from "../../../control-plane/translate/config-source.ts";
import { duration } from "../../../control-plane/translate/duration.ts";
import type { Init } from "../../../control-plane/translate/init.ts";
import type { TranslatedResource, XdsType } from "../../../control-plane/translate/resource.ts";
import { serviceName } from "./service-mesh.ts";

const PORT = 80;
const SUBSETS = ["", "v1", "v2"] as const;
const UNLIMITED = 4_294_967_295;

/** Clusters, endpoints, a listener at a port of the system's choice, and its route configuration with these weights for v1. */
export function istioConfiguration(instances: readonly Instance[], weights: readonly number[]): readonly TranslatedResource[] {
  const services = weights.map((_, index) => serviceName(index));
  const byService = grouped(instances);
  return [
    ...services.flatMap((name) => SUBSETS.flatMap((subset) => [cluster(name, subset), endpoints(name, subset, byService.get(name) ?? [])])),
    listener(),
    routes(weights),
  ];
}

function grouped(instances: readonly Instance[]): ReadonlyMap<string, readonly Instance[]> {
  const groups = new Map<string, Instance[]>();
  for (const instance of instances) groups.set(instance.workload, [...(groups.get(instance.workload) ?? []), instance]);
  return groups;
}

const hostOf = (name: string): string => `${name}.default.svc.cluster.local`;
const clusterName = (name: string, subset: string): string => `outbound|${PORT}|${subset}|${hostOf(name)}`;
const resource = (type: XdsType, name: string, body: Uint8Array, needs: readonly string[] = []): TranslatedResource => ({
  type,
  name,
  body,
  origins: [],
  needs,
});

function cluster(name: string, subset: string): TranslatedResource {
  const config = `/apis/networking.istio.io/v1/namespaces/default/destination-rule/${name}`;
  const secret = (of: string) => ({ name: of, sdsConfig: ADS });
  const tls: Init<typeof UpstreamTlsContextSchema> = {
    sni: `outbound_.${PORT}_.${subset}_.${hostOf(name)}`,
    commonTlsContext: {
      alpnProtocols: ["istio-peer-exchange", "istio"],
      tlsCertificateSdsSecretConfigs: [secret("default")],
      validationContextType: {
        case: "combinedValidationContext",
        value: {
          defaultValidationContext: {
            matchTypedSubjectAltNames: [{ sanType: 3, matcher: { matchPattern: { case: "exact", value: "spiffe://cluster.local/ns/default/sa/default" } } }],
          },
          validationContextSdsSecretConfig: secret("ROOTCA"),
        },
      },
    },
  };
  const init: Init<typeof ClusterSchema> = {
    name: clusterName(name, subset),
    clusterDiscoveryType: { case: "type", value: 3 },
    edsClusterConfig: { edsConfig: ADS, serviceName: clusterName(name, subset) },
    connectTimeout: duration(10_000),
    lbPolicy: 1,
    circuitBreakers: {
      thresholds: [{ maxConnections: UNLIMITED, maxPendingRequests: UNLIMITED, maxRequests: UNLIMITED, maxRetries: UNLIMITED, trackRemaining: true }],
    },
    outlierDetection: {
      consecutive5xx: 5,
      interval: duration(10_000),
      baseEjectionTime: duration(30_000),
      enforcingConsecutive5xx: 100,
      enforcingSuccessRate: 0,
    },
    commonLbConfig: { localityConfigSpecifier: { case: "localityWeightedLbConfig", value: {} }, healthyPanicThreshold: {} },
    transportSocketMatches: [
      {
        name: "tlsMode-istio",
        match: { tlsMode: "istio" },
        transportSocket: { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig", value: packAny(UpstreamTlsContextSchema, tls) } },
      },
      {
        name: "tlsMode-disabled",
        match: {},
        transportSocket: { name: "envoy.transport_sockets.raw_buffer", configType: { case: "typedConfig", value: packAny(RawBufferSchema, {}) } },
      },
    ],
    metadata: { filterMetadata: { istio: { config, services: [{ host: hostOf(name), name, namespace: "default" }], ...(subset === "" ? {} : { subset }) } } },
  };
  return resource("cluster", clusterName(name, subset), toBinary(ClusterSchema, create(ClusterSchema, init)), [`endpoint/${clusterName(name, subset)}`]);
}

function endpoints(name: string, subset: string, instances: readonly Instance[]): TranslatedResource {
  const chosen = instances.filter(({ ready, labels }) => ready && (subset === "" || labels.version === subset));
  const zones = [...new Set(chosen.map(({ locality }) => locality.zone))].sort();
  const init: Init<typeof ClusterLoadAssignmentSchema> = {
    clusterName: clusterName(name, subset),
    endpoints: zones.map((zone, priority) => {
      const there = chosen.filter(({ locality }) => locality.zone === zone);
      return {
        locality: { region: there[0]?.locality.region ?? "", zone },
        priority,
        loadBalancingWeight: there.length,
        lbEndpoints: there.map(({ address, labels }) => ({
          hostIdentifier: {
            case: "endpoint",
            value: { address: { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: 8080 } } } } },
          },
          metadata: {
            filterMetadata: {
              istio: { workload: `${name};default;${name};${labels.version};Kubernetes` },
              "envoy.transport_socket_match": { tlsMode: "istio" },
            },
          },
          loadBalancingWeight: 1,
        })),
      };
    }),
  };
  return resource("endpoint", clusterName(name, subset), toBinary(ClusterLoadAssignmentSchema, create(ClusterLoadAssignmentSchema, init)));
}

function listener(): TranslatedResource {
  const manager: Init<typeof HttpConnectionManagerSchema> = {
    statPrefix: `outbound_0.0.0.0_${PORT}`,
    routeSpecifier: { case: "rds", value: { configSource: ADS, routeConfigName: String(PORT) } },
    httpFilters: [{ name: "envoy.filters.http.router", configType: { case: "typedConfig", value: packAny(RouterSchema, {}) } }],
  };
  const init: Init<typeof ListenerSchema> = {
    name: "outbound",
    address: { address: { case: "socketAddress", value: { address: "127.0.0.1", portSpecifier: { case: "portValue", value: 0 } } } },
    filterChains: [
      {
        filters: [
          { name: "envoy.filters.network.http_connection_manager", configType: { case: "typedConfig", value: packAny(HttpConnectionManagerSchema, manager) } },
        ],
      },
    ],
  };
  return resource("listener", "outbound", toBinary(ListenerSchema, create(ListenerSchema, init)), [`route/${PORT}`]);
}

function routes(weights: readonly number[]): TranslatedResource {
  const needs = weights.flatMap((_, index) => [clusterName(serviceName(index), "v1"), clusterName(serviceName(index), "v2")]);
  const init: Init<typeof RouteConfigurationSchema> = {
    name: String(PORT),
    validateClusters: false,
    maxDirectResponseBodySizeBytes: 1_048_576,
    virtualHosts: [
      ...weights.map((weight, index) => virtualHost(serviceName(index), weight)),
      {
        name: "allow_any",
        domains: ["*"],
        routes: [{ match: { pathSpecifier: { case: "prefix", value: "/" } }, action: { case: "directResponse", value: { status: 502 } } }],
      },
    ],
  };
  return resource(
    "route",
    String(PORT),
    toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, init)),
    needs.map((need) => `cluster/${need}`),
  );
}

type VirtualHostInit = NonNullable<Init<typeof RouteConfigurationSchema>["virtualHosts"]>[number];

function virtualHost(name: string, weight: number): VirtualHostInit {
  const host = hostOf(name);
  return {
    name: `${host}:${PORT}`,
    domains: [host, name, `${name}.default.svc`, `${name}.default`].flatMap((domain) => [domain, `${domain}:${PORT}`]),
    includeRequestAttemptCount: true,
    routes: [
      {
        name: "primary",
        match: { pathSpecifier: { case: "prefix", value: "/" } },
        action: {
          case: "route",
          value: {
            clusterSpecifier: {
              case: "weightedClusters",
              value: {
                clusters: [
                  { name: clusterName(name, "v1"), weight },
                  { name: clusterName(name, "v2"), weight: 100 - weight },
                ],
              },
            },
            timeout: duration(0),
            retryPolicy: {
              retryOn: "connect-failure,refused-stream,unavailable,cancelled,reset-before-request",
              numRetries: 2,
              retryHostPredicate: [
                { name: "envoy.retry_host_predicates.previous_hosts", configType: { case: "typedConfig", value: packAny(PreviousHostsPredicateSchema, {}) } },
              ],
              hostSelectionRetryMaxAttempts: 5n,
            },
            maxStreamDuration: { maxStreamDuration: duration(0), grpcTimeoutHeaderMax: duration(0) },
          },
        },
        metadata: { filterMetadata: { istio: { config: `/apis/networking.istio.io/v1/namespaces/default/virtual-service/${name}` } } },
        decorator: { operation: `${host}:${PORT}/*` },
      },
    ],
  };
}
