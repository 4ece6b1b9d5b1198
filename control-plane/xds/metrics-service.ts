// OpenTelemetry's metrics service, as Envoy's stats sink calls it: reports of statistics come in, the deaths of filters that they count come out.
// Source: opentelemetry/proto/collector/metrics/v1/metrics_service.proto, metrics/v1/metrics.proto.
import { createHash } from "node:crypto";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type handleUnaryCall, type ServiceDefinition, type sendUnaryData, status } from "@grpc/grpc-js";
import { FILTER_DEATHS } from "../translate/filter-deaths.ts";
import { type Admission, admitted } from "./admission.ts";
import type { Authenticate, Peer } from "./authentication.ts";
import type { Logger } from "./connection.ts";

const passBytes = (bytes: Buffer): Buffer => bytes;

/** The one method of the service. Its answer is empty. */
export const METRICS_SERVICE = {
  Export: {
    path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    requestStream: false,
    responseStream: false,
    requestDeserialize: passBytes,
    requestSerialize: passBytes,
    responseDeserialize: passBytes,
    responseSerialize: passBytes,
  },
} satisfies ServiceDefinition;

/** The resource's attribute with the proxy's id: in a report of a proxy whose token does not say it. */
export const PROXY_ATTRIBUTE = "weft.proxy";

/** What is read of one report. */
export interface MetricsReport {
  /** Absent where the report does not say it. */
  readonly proxyId?: string;
  /** How many filters have died since Envoy started; undefined where the counter is not in the report, since none has. */
  readonly filterDeaths?: number;
}

/** Reads an ExportMetricsServiceRequest. Throws on bytes that are no protobuf message. */
export function parseMetrics(bytes: Uint8Array): MetricsReport {
  let proxyId: string | undefined;
  let filterDeaths: number | undefined;
  for (const resourceMetrics of messagesAt(bytes, 1)) {
    for (const resource of messagesAt(resourceMetrics, 1)) for (const attribute of messagesAt(resource, 1)) proxyId = parseProxy(attribute) ?? proxyId;
    for (const scope of messagesAt(resourceMetrics, 2)) for (const metric of messagesAt(scope, 2)) filterDeaths = parseMetric(metric) ?? filterDeaths;
  }
  return { ...(proxyId === undefined ? {} : { proxyId }), ...(filterDeaths === undefined ? {} : { filterDeaths }) };
}

export interface MetricsOptions {
  readonly admission: Admission;
  readonly logger: Logger;
  /** Hears the counter at every report that has it. */
  readonly onDeaths: (proxyId: string, deaths: number) => void;
}

/** Takes the reports of all proxies. One that cannot be read concerns no other. */
export function takeMetrics({ admission, logger, onDeaths }: MetricsOptions): handleUnaryCall<Buffer, Buffer> {
  const remembering = admission.authenticate === undefined ? admission : { ...admission, authenticate: remembered(admission.authenticate) };
  return (call, callback) => {
    const refuse = (code: status, details: string): void => callback({ code, details });
    const take = (peer: Peer | undefined): void => {
      try {
        read(call.request, peer, callback);
      } catch (error) {
        logger.warn({ error: error instanceof Error ? error.message : String(error) }, "a report of statistics cannot be read");
        refuse(status.INVALID_ARGUMENT, "this is not an ExportMetricsServiceRequest");
      }
    };
    admitted(remembering, call, take, refuse);
  };

  function read(bytes: Buffer, peer: Peer | undefined, callback: sendUnaryData<Buffer>): void {
    const { proxyId = peer?.proxyId, filterDeaths } = parseMetrics(bytes);
    if (proxyId === undefined)
      callback({ code: status.INVALID_ARGUMENT, details: `without a token a report must have the resource attribute ${PROXY_ATTRIBUTE}` });
    else if (peer !== undefined && peer.proxyId !== proxyId) {
      admission.log("forged-node", peer.proxyId, { claimed: proxyId.slice(0, LONGEST_CLAIM) });
      callback({ code: status.PERMISSION_DENIED, details: "the token is another proxy's" });
    } else {
      if (filterDeaths !== undefined) onDeaths(proxyId, filterDeaths);
      callback(null, Buffer.alloc(0));
    }
  }
}

/** Of tokens that are remembered. */
const MOST_PROVED = 20_000;

/**
 * A token that was proved once is believed until it ends: every report carries one, and in a cluster each proof is a question to the API server. A token that
 * was taken back before its end can say no more than that a filter of its own proxy has died.
 */
function remembered(authenticate: Authenticate): Authenticate {
  const proved = new Map<string, Peer>();
  return async (authorization) => {
    const key = createHash("sha256")
      .update(authorization ?? "")
      .digest("base64");
    const known = proved.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) return known;
    const peer = await authenticate(authorization);
    if (proved.size >= MOST_PROVED) proved.clear();
    proved.set(key, peer);
    return peer;
  };
}

/** Of a node id that is logged though it is a lie. */
const LONGEST_CLAIM = 100;

/** The messages in one field of another. */
function messagesAt(bytes: Uint8Array, wanted: number): readonly Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  return found;
}

const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("utf8");

/** KeyValue{key = 1, value = 2}, AnyValue{string_value = 1}. */
function parseProxy(attribute: Uint8Array): string | undefined {
  if (textOf(messagesAt(attribute, 1)[0]) !== PROXY_ATTRIBUTE) return undefined;
  const [value] = messagesAt(attribute, 2).flatMap((any) => messagesAt(any, 1));
  return value === undefined ? undefined : textOf(value);
}

/** Metric{name = 1, sum = 7}, Sum{data_points = 1}, NumberDataPoint{as_double = 4, as_int = 6}; undefined for any other metric. */
function parseMetric(metric: Uint8Array): number | undefined {
  if (textOf(messagesAt(metric, 1)[0]) !== FILTER_DEATHS) return undefined;
  const points = messagesAt(metric, 7).flatMap((sum) => messagesAt(sum, 1));
  const values = points.map(parsePoint).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0);
}

function parsePoint(point: Uint8Array): number | undefined {
  const reader = new BinaryReader(point);
  let value: number | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 4 && wireType === WireType.Bit64) value = reader.double();
    else if (field === 6 && wireType === WireType.Bit64) value = Number(reader.sfixed64());
    else reader.skip(wireType, field);
  }
  return value;
}
