// Istio's metrics from Envoy itself: access loggers that count requests, connections, times and bytes by Istio's labels. A proxy in, entries of `access_log`
// out, and the metadata of clusters that the labels are read from. Envoy sets `envoy_` before the names; a scrape configuration takes it away (docs/prometheus.md).

import type { AccessLogSchema } from "../gen/envoy/config/accesslog/v3/accesslog_pb.js";
import type { MetadataSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import { AccessLogType } from "../gen/envoy/data/accesslog/v3/accesslog_pb.js";
import {
  type Config_CounterSchema,
  Config_Histogram_Unit,
  type Config_HistogramSchema,
  type Config_TagSchema,
  ConfigSchema,
} from "../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js";
import { TransformStatSchema } from "../gen/envoy/extensions/matching/actions/transform_stat/v3/transform_stat_pb.js";
import { StatTagValueInputSchema } from "../gen/envoy/extensions/matching/common_inputs/stats/v3/stats_pb.js";
import type { Matcher_OnMatchSchema } from "../gen/xds/type/matcher/v3/matcher_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import type { Host } from "../mesh/mesh.ts";
import { packAny } from "./any.ts";
import type { Init } from "./init.ts";
import { FILTER } from "./names.ts";

type AccessLogInit = Init<typeof AccessLogSchema>;
type TagInit = Init<typeof Config_TagSchema>;
type CounterInit = Init<typeof Config_CounterSchema>;
type HistogramInit = Init<typeof Config_HistogramSchema>;
type OnMatchInit = Init<typeof Matcher_OnMatchSchema>;

/** The prefix of all of them in Envoy's names. */
export const METRICS_PREFIX = "istio";

/** What Istio says where it does not know. A value that only a request could tell is empty instead. */
const UNKNOWN = "unknown";

/** More label sets than a workload has callees, codes and flags by far; beyond it Envoy counts no new ones. In all listeners of a proxy together. */
const MOST_COUNTERS = 5_000;
const MOST_HISTOGRAMS = 10_000;

/** The labels of an endpoint that only its own metadata can tell, by their keys there: one letter, since it is sent for every endpoint to every proxy. */
export const ENDPOINT_LABELS = { workload: "w", version: "v", zone: "z" } as const;

const ofCluster = (key: string): string => `%CLUSTER_METADATA(${FILTER}:${key})%`;
const ofEndpoint = (label: keyof typeof ENDPOINT_LABELS): string => `%UPSTREAM_METADATA(${FILTER}:${ENDPOINT_LABELS[label]})%`;

/** What a cluster says about the service that it leads to. A workload is in the namespace of its service, and called what the service selects by `app`. */
export function serviceMetadata(host: Host | undefined): Pick<{ metadata: Init<typeof MetadataSchema> }, "metadata"> | Record<string, never> {
  if (host === undefined) return {};
  const { hostname, name, namespace, service } = host;
  const app = service.kind === "Service" ? service.spec.selector.app : service.spec.workloadSelector?.labels?.app;
  return { metadata: { filterMetadata: { [FILTER]: { service: hostname, name, namespace, ...(app === undefined ? {} : { app }) } } } };
}

/** A proxy never changes: what all of its listeners count by is made once. */
const MADE = new WeakMap<Proxy, Map<string, AccessLogInit[]>>();

/** Counts the requests or connections of a proxy's listeners; nothing where it is not to. */
export function trafficMetrics(kind: "request" | "connection", direction: "inbound" | "outbound", proxy: Proxy): AccessLogInit[] {
  if (proxy.metrics === undefined) return [];
  const made = MADE.get(proxy) ?? new Map<string, AccessLogInit[]>();
  MADE.set(proxy, made);
  const key = `${kind} ${direction}`;
  const known =
    made.get(key) ?? (kind === "request" ? requestLogs(endsOf(direction, proxy), proxy.metrics === "all") : connectionLogs(endsOf(direction, proxy)));
  made.set(key, known);
  return known;
}

/** Who calls whom, as seen by the caller's proxy or by the callee's. Of the caller the latter knows no more than its certificate says. */
function endsOf(direction: "inbound" | "outbound", proxy: Proxy): readonly TagInit[] {
  const { workload, namespace, labels, locality } = proxy;
  const own = { workload, workload_namespace: namespace, app: labels.app ?? UNKNOWN, version: labels.version ?? UNKNOWN, zone: locality.zone };
  const called = { service: ofCluster("service"), service_name: ofCluster("name"), service_namespace: ofCluster("namespace") };
  if (direction === "outbound") {
    return [
      tag("reporter", "source"),
      ...tags("source", { ...own, principal: "%UPSTREAM_LOCAL_URI_SAN%" }),
      ...tags("destination", {
        workload: ofEndpoint("workload"),
        workload_namespace: ofCluster("namespace"),
        app: ofCluster("app"),
        version: ofEndpoint("version"),
        zone: ofEndpoint("zone"),
        principal: "%UPSTREAM_PEER_URI_SAN%",
        ...called,
      }),
      tag("connection_security_policy", UNKNOWN),
    ];
  }
  const unseen = { workload: UNKNOWN, workload_namespace: UNKNOWN, app: UNKNOWN, version: UNKNOWN, zone: UNKNOWN };
  return [
    tag("reporter", "destination"),
    ...tags("source", { ...unseen, principal: "%DOWNSTREAM_PEER_URI_SAN%" }),
    ...tags("destination", { ...own, principal: "%DOWNSTREAM_LOCAL_URI_SAN%", ...called }),
    { ...tag("connection_security_policy", "%DOWNSTREAM_PEER_URI_SAN%"), rules: oneOf("spiffe://", "mutual_tls", "none") },
  ];
}

function requestLogs(ends: readonly TagInit[], withBytes: boolean): AccessLogInit[] {
  // Istio tells gRPC from other requests by what they say they carry.
  const protocol: TagInit = { ...tag("request_protocol", "%REQ(CONTENT-TYPE)%"), rules: oneOf("application/grpc", "grpc", "http") };
  const labels = [...ends, protocol, tag("response_code", "%RESPONSE_CODE%"), tag("response_flags", "%RESPONSE_FLAGS%")];
  return [
    statsLog(
      [counter("requests_total", labels)],
      [
        histogram("request_duration_milliseconds", labels, "%DURATION%", Config_Histogram_Unit.Milliseconds),
        ...(withBytes
          ? [
              histogram("request_bytes", labels, "%BYTES_RECEIVED%", Config_Histogram_Unit.Bytes),
              histogram("response_bytes", labels, "%BYTES_SENT%", Config_Histogram_Unit.Bytes),
            ]
          : []),
      ],
    ),
  ];
}

/** A connection is counted when it has reached an endpoint, and when it has ended; its bytes then too. */
function connectionLogs(ends: readonly TagInit[]): AccessLogInit[] {
  const labels = [...ends, tag("request_protocol", "tcp"), tag("response_flags", "%RESPONSE_FLAGS%")];
  return [
    { ...statsLog([counter("tcp_connections_opened_total", labels)], []), filter: onlyAt(AccessLogType.TcpUpstreamConnected) },
    {
      ...statsLog(
        [
          counter("tcp_connections_closed_total", labels),
          counter("tcp_sent_bytes_total", labels, "%BYTES_SENT%"),
          counter("tcp_received_bytes_total", labels, "%BYTES_RECEIVED%"),
        ],
        [],
      ),
      filter: CONNECTION_END,
    },
  ];
}

const onlyAt = (type: AccessLogType): NonNullable<AccessLogInit["filter"]> => ({ filterSpecifier: { case: "logTypeFilter", value: { types: [type] } } });

/** Where connections are logged when they begin too, a log of their ends has this filter. */
export const CONNECTION_END = onlyAt(AccessLogType.TcpConnectionEnd);

function statsLog(counters: CounterInit[], histograms: HistogramInit[]): AccessLogInit {
  const statsScope = { prefix: METRICS_PREFIX, sharingName: METRICS_PREFIX, maxCounters: MOST_COUNTERS, maxHistograms: MOST_HISTOGRAMS };
  return { name: "envoy.access_loggers.stats", configType: { case: "typedConfig", value: packAny(ConfigSchema, { statsScope, counters, histograms }) } };
}

function counter(name: string, labels: readonly TagInit[], value?: string): CounterInit {
  return { stat: { name, tags: [...labels] }, ...(value === undefined ? { valueFixed: 1n } : { valueFormat: value }) };
}

function histogram(name: string, labels: readonly TagInit[], valueFormat: string, unit: Config_Histogram_Unit): HistogramInit {
  return { stat: { name, tags: [...labels] }, valueFormat, unit };
}

function tags(end: "source" | "destination", values: Readonly<Record<string, string>>): readonly TagInit[] {
  return Object.entries(values).map(([name, value]) => tag(`${end}_${name}`, value));
}

/** Envoy wants something to stand there; `%` begins a command in a format. */
function tag(name: string, valueFormat: string): TagInit {
  return { name, valueFormat: valueFormat === "" ? UNKNOWN : valueFormat };
}

/** One of two words, by how a value begins: so no client makes a label of its own. */
function oneOf(prefix: string, where: string, elsewhere: string): NonNullable<TagInit["rules"]> {
  const input = { name: "value", typedConfig: packAny(StatTagValueInputSchema) };
  const valueMatch = { matchPattern: { case: "prefix", value: prefix } } as const;
  const singlePredicate = { input, matcher: { case: "valueMatch", value: valueMatch } } as const;
  const matchers = [{ predicate: { matchType: { case: "singlePredicate", value: singlePredicate } }, onMatch: becomes(where) } as const];
  return { matcherType: { case: "matcherList", value: { matchers } }, onNoMatch: becomes(elsewhere) };
}

function becomes(newTagValue: string): OnMatchInit {
  const typedConfig = packAny(TransformStatSchema, { action: { case: "updateTag", value: { newTagValue } } });
  return { onMatch: { case: "action", value: { name: "label", typedConfig } } };
}
