// Envoy's metrics_service: reports of statistics come in, the deaths that they count come out. Of a report only one counter is read.
// Source: envoy/service/metrics/v3/metrics_service.proto, and Prometheus' client model for what stands in it.
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type handleClientStreamingCall, type ServerReadableStream, type ServiceDefinition, status } from "@grpc/grpc-js";
import { FILTER_DEATHS } from "../translate/filter-deaths.ts";
import { type Admission, admitted } from "./admission.ts";
import type { Peer } from "./authentication.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./connection.ts";
import { endOfPeer } from "./peer-end.ts";
import { parseNode } from "./wire.ts";

const passBytes = (bytes: Buffer): Buffer => bytes;

/** The one method of the metrics service. Its answer is empty, and comes when the client ends the stream. */
export const METRICS_SERVICE = {
  StreamMetrics: {
    path: "/envoy.service.metrics.v3.MetricsService/StreamMetrics",
    requestStream: true,
    responseStream: false,
    requestDeserialize: passBytes,
    requestSerialize: passBytes,
    responseDeserialize: passBytes,
    responseSerialize: passBytes,
  },
} satisfies ServiceDefinition;

/** What is read of one report. */
export interface MetricsReport {
  /** On the first report of a stream only. */
  readonly proxyId?: string;
  /** How many filters have died since Envoy started; undefined where the counter is not in the report, since none has. */
  readonly filterDeaths?: number;
}

/** Reads a StreamMetricsMessage. Throws on bytes that are no protobuf message. */
export function parseMetrics(bytes: Uint8Array): MetricsReport {
  const reader = new BinaryReader(bytes);
  let proxyId: string | undefined;
  let filterDeaths: number | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) proxyId = parseIdentifier(reader.bytes());
    else if (field === 2) filterDeaths = parseFamily(reader.bytes()) ?? filterDeaths;
    else reader.skip(wireType, field);
  }
  return { ...(proxyId === undefined ? {} : { proxyId }), ...(filterDeaths === undefined ? {} : { filterDeaths }) };
}

export interface MetricsOptions {
  readonly admission: Admission;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears the counter at every report that has it. */
  readonly onDeaths: (proxyId: string, deaths: number) => void;
}

type Call = ServerReadableStream<Buffer, Buffer>;

/** Takes the streams of all proxies. A stream that breaks concerns no other. */
export function streamMetrics(options: MetricsOptions): handleClientStreamingCall<Buffer, Buffer> {
  return (call, callback) => {
    let ended = false;
    const end = (code?: status, details = ""): void => {
      if (ended) return;
      ended = true;
      if (code === undefined) callback(null, Buffer.alloc(0));
      else callback({ code, details });
    };
    admitted(options.admission, call, (peer) => read(options, call, peer, () => ended, end), end);
  };
}

function read(
  { admission, clock, logger, onDeaths }: MetricsOptions,
  call: Call,
  peer: Peer | undefined,
  ended: () => boolean,
  end: (code?: status, details?: string) => void,
): void {
  let proxyId = "";
  const cancelEnd = endOfPeer(peer, clock, end);
  call.on("data", (bytes: Buffer) => {
    if (ended()) return;
    try {
      const report = parseMetrics(bytes);
      proxyId = report.proxyId ?? proxyId;
      if (proxyId === "") end(status.INVALID_ARGUMENT, "the first report of a stream must carry identifier.node.id");
      else if (peer !== undefined && peer.proxyId !== proxyId) {
        admission.log("forged-node", peer.proxyId, { claimed: proxyId.slice(0, LONGEST_CLAIM) });
        end(status.PERMISSION_DENIED, "the token is another proxy's");
      } else if (report.filterDeaths !== undefined) onDeaths(proxyId, report.filterDeaths);
    } catch (error) {
      logger.warn({ proxyId, error: error instanceof Error ? error.message : String(error) }, "a report of statistics cannot be read");
      end(status.INVALID_ARGUMENT, "this is not a StreamMetricsMessage");
    }
  });
  call.on("end", () => end());
  call.on("close", cancelEnd);
  call.on("error", (error: Error) => logger.info({ proxyId, error: error.message }, "stream of statistics broke"));
}

/** Of a node id that is logged though it is a lie. */
const LONGEST_CLAIM = 100;

/** Identifier.node is field 1. */
function parseIdentifier(bytes: Uint8Array): string | undefined {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) return parseNode(reader.bytes()).id;
    reader.skip(wireType, field);
  }
  return undefined;
}

/** The counter's value in MetricFamily{name = 1, metric = 4}, Metric{counter = 3}; undefined in any other family. Envoy writes the name first. */
function parseFamily(bytes: Uint8Array): number | undefined {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) {
      if (reader.string() !== FILTER_DEATHS) return undefined;
    } else if (field === 4) return parseCounter(reader.bytes());
    else reader.skip(wireType, field);
  }
  return undefined;
}

function parseCounter(bytes: Uint8Array): number | undefined {
  const metric = new BinaryReader(bytes);
  while (metric.pos < metric.len) {
    const [field, wireType] = metric.tag();
    if (field !== 3) metric.skip(wireType, field);
    else {
      const counter = new BinaryReader(metric.bytes());
      const [, valueType] = counter.tag();
      return valueType === WireType.Bit64 ? counter.double() : undefined;
    }
  }
  return undefined;
}
