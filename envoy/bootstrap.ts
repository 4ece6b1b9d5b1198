// From a proxy of the mesh to the configuration that its Envoy starts with: who it is, where its control plane and its admin port are. Pure.
import { isIP } from "node:net";
import type { ListenAddress, Proxy } from "../control-plane/mesh/instance.ts";
import { metricsSink } from "./metrics-sink.ts";

export interface BootstrapOptions {
  readonly admin: ListenAddress;
  /** The control plane's delta ADS server; a name where it is found by DNS. */
  readonly xds: ListenAddress;
  /** How the two prove themselves to each other. Default: not at all, for a control plane of tests that listens in plaintext. */
  readonly identity?: XdsIdentity;
  /** Sends chosen statistics to the control plane (a stats sink). Default: off. */
  readonly metricsEveryMs?: number;
  /** Listeners that are there before the control plane has said anything, and clusters for them. */
  readonly own?: { readonly listeners: readonly object[]; readonly clusters: readonly object[] };
}

/** Files of SDS resources, which Envoy watches: each is renewed by renaming another one into its place. */
export interface XdsIdentity {
  /** The roots that the control plane's certificate must come from. */
  readonly rootsPath: string;
  /** The DNS name that must stand in it: other certificates of the same roots are workloads'. */
  readonly serverName: string;
  /** The proxy's own token. */
  readonly tokenPath: string;
  /** What stands before the token in the header, where the file's secret is the bare token. */
  readonly tokenPrefix?: string;
}

/** Cluster of the control plane; the metrics sink uses it too. */
const XDS_CLUSTER = "xds";

/**
 * Each statistic of each cluster costs memory, and a mesh of 1,000 clusters has a hundred thousand: kept is what the control plane, `weft` and the tests read.
 * Names are matched before tags are taken out of them.
 */
const KEPT_STATISTICS = [
  { prefix: "server." },
  { prefix: "control_plane." },
  { prefix: "listener_manager." },
  { prefix: "cluster_manager." },
  { prefix: "wasm" },
  { prefix: "weft" },
  { prefix: "istio." },
  {
    safe_regex: {
      regex: "cluster\\..*\\.(?:upstream_rq_.*|upstream_cx_(?:total|active|connect_fail|overflow)|membership_.*|circuit_breakers\\..*|outlier_detection\\..*)",
    },
  },
  { safe_regex: { regex: "http\\..*\\.downstream_(?:rq_.*|cx_active)" } },
  { safe_regex: { regex: "tcp\\..*\\.downstream_cx_(?:total|active)" } },
  // What policies decided, and in a dry run would have decided.
  { safe_regex: { regex: "(?:http\\..*|tcp)\\.(?:rbac|ext_authz|jwt_authn)\\..*" } },
];

/** Envoy's bootstrap as JSON. The same proxy and options give the same bytes once it is printed. */
export function bootstrapOf(proxy: Proxy, options: BootstrapOptions): object {
  const { region, zone, subzone } = proxy.locality;
  return {
    node: { id: proxy.id, cluster: `${proxy.workload}.${proxy.namespace}`, locality: { region, zone, sub_zone: subzone } },
    ...namelessBootstrap(options, proxy.id),
  };
}

/** The same for an Envoy whose arguments say who it is (`--service-node`, `--service-cluster`). */
export function namelessBootstrap(options: BootstrapOptions, proxyId?: string): object {
  const { own = { listeners: [], clusters: [] } } = options;
  return {
    admin: { address: socketAddress(options.admin) },
    static_resources: {
      ...(own.listeners.length === 0 ? {} : { listeners: own.listeners }),
      clusters: [xdsCluster(options.xds, options.identity), ...own.clusters],
    },
    dynamic_resources: { ads_config: adsConfig(), cds_config: FROM_ADS, lds_config: FROM_ADS },
    stats_config: { stats_matcher: { inclusion_list: { patterns: KEPT_STATISTICS } } },
    ...(options.metricsEveryMs === undefined ? {} : metricsSink(XDS_CLUSTER, options.metricsEveryMs, proxyId)),
    layered_runtime: RUNTIME,
    overload_manager: UNLIMITED_CONNECTIONS,
  };
}

/**
 * Without a control plane an Envoy waits: were it to go on after Envoy's 15 s, it would report ready with no listeners.
 * Source: config_source.proto, initial_fetch_timeout.
 */
const FROM_ADS = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };

/** Istio's bootstrap raises the RE2 limit likewise: Envoy's own refuses ordinary regular expressions of more than 100 instructions. */
const RUNTIME = {
  layers: [
    { name: "weft", static_layer: { "re2.max_program_size.error_level": 32_768 } },
    { name: "admin", admin_layer: {} },
  ],
};

/** Envoy warns at each start where nothing is said about the number of connections. */
const UNLIMITED_CONNECTIONS = {
  resource_monitors: [
    {
      name: "envoy.resource_monitors.global_downstream_max_connections",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections: 2_147_483_647,
      },
    },
  ],
};

function socketAddress({ address, port }: ListenAddress): object {
  return { socket_address: { address, port_value: port } };
}

function adsConfig(): object {
  // Envoy's own back-off grows to 30 s: a control plane that comes back on the same machine is to be found at once.
  const retry_policy = { retry_back_off: { base_interval: "0.1s", max_interval: "1s" } };
  return {
    api_type: "DELTA_GRPC",
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER, retry_policy } }],
  };
}

function xdsCluster(xds: ListenAddress, identity: XdsIdentity | undefined): object {
  return {
    name: XDS_CLUSTER,
    ...(isIP(xds.address) === 0 ? { type: "STRICT_DNS", dns_lookup_family: "V4_PREFERRED" } : { type: "STATIC" }),
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "10s" } } },
        ...(identity === undefined ? {} : { http_filters: tokenInjection(identity) }),
      },
    },
    ...(identity === undefined ? {} : { transport_socket: transportSocket(identity) }),
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 30, keepalive_interval: 10, keepalive_probes: 3 } },
    // A control plane that has just refused connections is to be asked again, whatever the default limits say.
    circuit_breakers: { thresholds: [{ max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000 }] },
    load_assignment: { cluster_name: XDS_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(xds) } }] }] },
  };
}

/**
 * Filters of the cluster, so that every stream to it has the token, whoever opens it. Envoy takes a renewed file at once for new streams.
 * Source: credential_injector.proto and generic.proto; an upstream filter chain ends with the codec filter.
 */
function tokenInjection({ tokenPath, tokenPrefix }: XdsIdentity): readonly object[] {
  return [
    {
      name: "envoy.filters.http.credential_injector",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        overwrite: true,
        credential: {
          name: "envoy.http.injected_credentials.generic",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
            credential: secretInFile("token", tokenPath),
            ...(tokenPrefix === undefined ? {} : { header_value_prefix: tokenPrefix }),
          },
        },
      },
    },
    {
      name: "envoy.filters.http.upstream_codec",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec" },
    },
  ];
}

/** Envoy as a client speaks TLS 1.2 at most unless told otherwise; the control plane speaks nothing below 1.3. */
function transportSocket({ rootsPath, serverName }: XdsIdentity): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      sni: serverName,
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
        alpn_protocols: ["h2"],
        combined_validation_context: {
          default_validation_context: { match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: serverName } }] },
          validation_context_sds_secret_config: secretInFile("ROOTCA", rootsPath),
        },
      },
    },
  };
}

function secretInFile(name: string, path: string): object {
  return { name, sds_config: { path_config_source: { path }, resource_api_version: "V3" } };
}
