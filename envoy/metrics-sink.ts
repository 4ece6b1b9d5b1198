// The part of a sidecar's bootstrap that reports statistics to the control plane. The name of the xDS cluster in; out come four fields of the bootstrap JSON.

/** How often Envoy reports, in milliseconds: a filter that died is noticed after one such interval at most. */
export const STATS_FLUSH_INTERVAL_MS = 1_000;

/**
 * The statistics that Envoy keeps at all: what is not here is neither reported nor on the admin port, and costs no memory. A sink cannot be narrowed by
 * itself, so this list is what travels, of it only what was used. Without it a sidecar of 1,000 clusters holds 146 MB, most of it statistics.
 */
const KEPT_STATISTICS: readonly object[] = [
  // Deaths of the filter, and what it counts itself.
  { prefix: "weft." },
  { prefix: "wasmcustom." },
  // What `weft top`, the tests and a person on the admin port ask: requests, failures, retries, limits, health, and who crossed zones.
  { safe_regex: { regex: "cluster\\..*\\.upstream_rq_(total|[1-5]xx|timeout|retry|retry_success|retry_overflow|pending_overflow|active)" } },
  { safe_regex: { regex: "cluster\\..*\\.upstream_cx_(active|total|overflow|connect_fail|connect_timeout)" } },
  { safe_regex: { regex: "cluster\\..*\\.(membership_healthy|membership_total|outlier_detection\\.ejections_(active|enforced_total|overflow))" } },
  { safe_regex: { regex: "cluster\\..*\\.zone\\..*\\.upstream_rq_([1-5]xx)" } },
  { safe_regex: { regex: "http\\..*\\.downstream_rq_(total|active|[1-5]xx)" } },
  // Whether configuration arrives and is taken.
  { safe_regex: { regex: ".*\\.(update_rejected|update_success|config_reload|config_fail)" } },
  { safe_regex: { regex: "(listener_manager|cluster_manager)\\.(.*_(active|warming|draining)|.*_rejected|active_clusters|warming_clusters|workers_started)" } },
  { safe_regex: { regex: "(control_plane\\.connected_state|server\\.(live|uptime|memory_allocated|memory_physical_size|state))" } },
];

/** Fields of a bootstrap, as JSON: to be spread into it. */
export interface MetricsSink {
  readonly stats_flush_interval: string;
  readonly stats_config: object;
  readonly stats_sinks: readonly object[];
}

/**
 * Reports to the metrics service behind `cluster` (the one of ADS). Counters go as totals, not as differences: a report that is lost, or a control plane
 * that was away, then hides nothing. Names go whole, without labels: the receiver looks for few of them.
 */
export function metricsSink(cluster: string): MetricsSink {
  return {
    stats_flush_interval: `${STATS_FLUSH_INTERVAL_MS / 1_000}s`,
    stats_config: { stats_matcher: { inclusion_list: { patterns: KEPT_STATISTICS } } },
    stats_sinks: [
      {
        name: "envoy.stat_sinks.metrics_service",
        typed_config: {
          "@type": "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig",
          transport_api_version: "V3",
          report_counters_as_deltas: false,
          emit_tags_as_labels: false,
          grpc_service: { envoy_grpc: { cluster_name: cluster } },
        },
      },
    ],
  };
}
