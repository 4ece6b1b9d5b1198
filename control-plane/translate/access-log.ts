// The access log: one line of JSON for each request or connection, in the proxy's file.
import type { AccessLogSchema } from "../gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { FileAccessLogSchema } from "../gen/envoy/extensions/access_loggers/file/v3/file_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { packAny } from "./any.ts";
import type { Init } from "./init.ts";

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

/** What policies would have decided that are tried and not enforced. Source: Envoy, "Role Based Access Control", dynamic metadata. */
const DRY_RUN = {
  request: { dryRun: "%DYNAMIC_METADATA(envoy.filters.http.rbac)%" },
  connection: { dryRun: "%DYNAMIC_METADATA(envoy.filters.network.rbac)%" },
};

/** The log of a proxy's listeners; none where it has no path for it. `dryRun`: policies are tried there. */
export function accessLog(kind: "request" | "connection", direction: "inbound" | "outbound", proxy: Proxy, dryRun = false): AccessLogInit[] {
  if (proxy.accessLogPath === undefined) return [];
  const made = MADE.get(proxy) ?? new Map<string, AccessLogInit[]>();
  MADE.set(proxy, made);
  const key = `${kind} ${direction} ${dryRun}`;
  const fields = { ...(kind === "request" ? REQUEST : CONNECTION), ...(dryRun ? DRY_RUN[kind] : {}), direction };
  const known = made.get(key) ?? fileLog(fields, proxy.accessLogPath);
  made.set(key, known);
  return known;
}

function fileLog(fields: Readonly<Record<string, string>>, path: string): AccessLogInit[] {
  const typedConfig = packAny(FileAccessLogSchema, {
    path,
    accessLogFormat: { case: "logFormat", value: { format: { case: "jsonFormat", value: sorted(fields) } } },
  });
  return [{ name: "envoy.access_loggers.file", configType: { case: "typedConfig", value: typedConfig } }];
}

/** A protobuf map keeps the order of insertion. */
function sorted(format: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(format).sort(([a], [b]) => (a < b ? -1 : 1)));
}
