// Listeners that every pod's Envoy has of its own accord: whether it is ready, and its statistics for Prometheus. JSON of the bootstrap.
import { POD_PORTS } from "../pod-contract.ts";

/** Names of what belongs to no service begin so. */
export const LISTENER_STATISTICS = "pod-";
const ADMIN_CLUSTER = "admin";

/** The admin port itself is on loopback and can end the proxy: of it, two questions are open to others. */
export function ownListeners(): { readonly listeners: readonly object[]; readonly clusters: readonly object[] } {
  const admin = (path: string, asks: string): object => ({
    match: { path, headers: [{ name: ":method", string_match: { exact: "GET" } }] },
    route: { cluster: ADMIN_CLUSTER, prefix_rewrite: asks, timeout: "10s" },
  });
  return {
    listeners: [
      staticListener("ready", POD_PORTS.ready, [admin("/healthz/ready", "/ready")]),
      staticListener("metrics", POD_PORTS.metrics, [admin("/stats/prometheus", "/stats/prometheus")]),
    ],
    clusters: [
      {
        name: ADMIN_CLUSTER,
        type: "STATIC",
        connect_timeout: "0.25s",
        load_assignment: {
          cluster_name: ADMIN_CLUSTER,
          endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: POD_PORTS.admin } } } }] }],
        },
      },
    ],
  };
}

/** A listener with routes of its own; everything else there is answered 404. */
export function staticListener(name: string, port: number, routes: readonly object[]): object {
  return {
    name: `${LISTENER_STATISTICS}${name}`,
    address: { socket_address: { address: "0.0.0.0", port_value: port } },
    // Neither drained nor refused when the proxy has more to do than it can.
    ignore_global_conn_limit: true,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: `${LISTENER_STATISTICS}${name}`,
              generate_request_id: false,
              route_config: { name: `${LISTENER_STATISTICS}${name}`, virtual_hosts: [{ name, domains: ["*"], routes }] },
              http_filters: [
                { name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
              ],
            },
          },
        ],
      },
    ],
  };
}
