// The access logs: one line of JSON for each request or connection, in the proxy's file, and what counts them.
import type { AccessLogSchema } from "../gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { FileAccessLogSchema } from "../gen/envoy/extensions/access_loggers/file/v3/file_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { packAny } from "./any.ts";
import type { Init } from "./init.ts";
import { CONNECTION_END, trafficMetrics } from "./traffic-metrics.ts";

type AccessLogInit = Init<typeof AccessLogSchema>;

const CONNECTION = {
  time: "%START_TIME%",
  durationMs: "%DURATION%",
  flags: "%RESPONSE_FLAGS%",
  cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream: "%UPSTREAM_HOST%",
  failure: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
  client: "%DOWNSTREAM_REMOTE_ADDRESS%",
  listener: "%DOWNSTREAM_LOCAL_ADDRESS%",
  bytesReceived: "%BYTES_RECEIVED%",
  bytesSent: "%BYTES_SENT%",
};

/** What is logged of a request; `attempts` counts the first and its retries. Names of the fields are Weft's, values Envoy's. */
const REQUEST = {
  ...CONNECTION,
  method: "%REQ(:METHOD)%",
  authority: "%REQ(:AUTHORITY)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  status: "%RESPONSE_CODE%",
  details: "%RESPONSE_CODE_DETAILS%",
  route: "%ROUTE_NAME%",
  attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
  requestId: "%REQ(X-REQUEST-ID)%",
  userAgent: "%REQ(USER-AGENT)%",
};

/** A proxy never changes: what all of its listeners log by is made once. */
const MADE = new WeakMap<Proxy, Map<string, AccessLogInit[]>>();

/** A rule with the action AUDIT matched: Envoy's LOG leaves nothing but this. */
const AUDITED = "%DYNAMIC_METADATA(envoy.common:access_log_hint)%";

/**
 * What policies would have decided that are tried and not enforced, and whether one with the action AUDIT took note. Source: Envoy, "Role Based Access Control",
 * dynamic metadata.
 */
const DRY_RUN = {
  request: { dryRun: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%", audited: AUDITED },
  connection: { dryRun: "%DYNAMIC_METADATA(envoy.filters.network.rbac)%", audited: AUDITED },
};

/** What a proxy's listeners log: lines, where it has a path for them, and its metrics. `dryRun`: policies are tried or audit there. */
export function accessLog(kind: "request" | "connection", direction: "inbound" | "outbound", proxy: Proxy, dryRun = false): AccessLogInit[] {
  return [...lines(kind, direction, proxy, dryRun), ...trafficMetrics(kind, direction, proxy)];
}

function lines(kind: "request" | "connection", direction: "inbound" | "outbound", proxy: Proxy, dryRun: boolean): AccessLogInit[] {
  if (proxy.accessLogPath === undefined) return [];
  const made = MADE.get(proxy) ?? new Map<string, AccessLogInit[]>();
  MADE.set(proxy, made);
  const key = `${kind} ${direction} ${dryRun}`;
  const fields = { ...(kind === "request" ? REQUEST : CONNECTION), ...(dryRun ? DRY_RUN[kind] : {}), direction };
  const known = made.get(key) ?? fileLog(fields, proxy.accessLogPath, kind === "connection" && proxy.metrics ? { filter: CONNECTION_END } : {});
  made.set(key, known);
  return known;
}

function fileLog(fields: Readonly<Record<string, string>>, path: string, when: Pick<AccessLogInit, "filter">): AccessLogInit[] {
  const typedConfig = packAny(FileAccessLogSchema, {
    path,
    accessLogFormat: { case: "logFormat", value: { format: { case: "jsonFormat", value: sorted(fields) } } },
  });
  return [{ name: "envoy.access_loggers.file", ...when, configType: { case: "typedConfig", value: typedConfig } }];
}

/** A protobuf map keeps the order of insertion. */
function sorted(format: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(format).sort(([a], [b]) => (a < b ? -1 : 1)));
}
