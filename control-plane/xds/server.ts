// The delta ADS server: snapshots in, streams of Envoys out. The only place of the pipeline that holds sockets.
import { type handleBidiStreamingCall, Server, type ServiceDefinition, status } from "@grpc/grpc-js";
import type { ProxySnapshot, Snapshot } from "../snapshot/snapshot.ts";
import { admitted } from "./admission.ts";
import type { Authenticate } from "./authentication.ts";
import { Connection, type SentCounters } from "./connection.ts";
import { createFilterWatch } from "./filter-watch.ts";
import { tellingOfLargeMessages } from "./large-messages.ts";
import { type Listener, listen, type ServerCertificate } from "./listener.ts";
import { METRICS_SERVICE, takeMetrics } from "./metrics-service.ts";
import type { ProxyReport } from "./proxy-state.ts";
import { ProxyTable, type ProxyTableOptions } from "./proxy-table.ts";
import { createRefusalLog } from "./refusal-log.ts";

/** How the server proves itself, and how its clients do. */
export interface XdsSecurity {
  readonly certificate: ServerCertificate;
  readonly authenticate: Authenticate;
}

export interface XdsServerOptions extends Omit<ProxyTableOptions, "logRefusal"> {
  readonly host: string;
  /** 0: chosen by the system. */
  readonly port: number;
  /** Without it the server takes everybody at his word. That must be asked for by `plaintext`, and is had on a loopback address only. */
  readonly security?: XdsSecurity;
  readonly plaintext?: true;
  /**
   * Called when a proxy reports that its filter has died, with its count of deaths since it started: give it a fresh VM. Called once for what died
   * together, and later where it keeps dying. After a restart of the control plane, deaths of before are told once more.
   */
  readonly onFilterDead?: (proxyId: string, deaths: number) => void;
}

export interface XdsServer {
  readonly port: number;
  /** Serves a newer snapshot. A proxy that is no longer in it keeps what it holds. */
  readonly publish: (snapshot: Snapshot) => void;
  /** By proxy id, in byte order. Proxies that are in a snapshot or have connected. */
  readonly state: () => readonly ProxyReport[];
  /** By proxy id, the last snapshot of which the proxy ACKed everything: what serves in place of what Envoy refuses. */
  readonly accepted: () => ReadonlyMap<string, ProxySnapshot>;
  /** What was sent on each open stream, in the order in which they were opened. */
  readonly sent: () => readonly SentCounters[];
  /** By proxy id, name to version of the secrets that its newest stream has acknowledged; undefined without a stream or where it asked for none. */
  readonly secretsHeld: (proxyId: string) => { readonly connected: boolean; readonly versions: ReadonlyMap<string, string> | undefined };
  /** For connections from now on. */
  readonly replaceCertificate: (certificate: ServerCertificate) => void;
  /** Ends all streams and frees the port. */
  readonly close: () => Promise<void>;
}

/** A reconnect reports name and version of all that a proxy holds: some 100 bytes each. */
const LARGEST_REQUEST_BYTES = 4 * 1024 * 1024;
/** An Envoy opens two: discovery and metrics. Clients of tests and benchmarks share a connection. */
const STREAMS_PER_CONNECTION = 100;
/** Of a connection without a stream. */
const IDLE_CONNECTION_MS = 30_000;
const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|localhost|::1)$/;
const SERVICE_PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService";

/** Raw bytes in both directions: requests are read by hand, responses are put together from bytes that all streams share. */
const passBytes = (bytes: Buffer): Buffer => bytes;
const bidirectional = (path: string) => ({
  path,
  requestStream: true,
  responseStream: true,
  requestDeserialize: passBytes,
  requestSerialize: passBytes,
  responseDeserialize: passBytes,
  responseSerialize: passBytes,
});

/** The two methods of the aggregated discovery service. */
export const AGGREGATED_DISCOVERY_SERVICE = {
  DeltaAggregatedResources: bidirectional(`${SERVICE_PATH}/DeltaAggregatedResources`),
  StreamAggregatedResources: bidirectional(`${SERVICE_PATH}/StreamAggregatedResources`),
} satisfies ServiceDefinition;

/** Starts the server: discovery, and the metrics service beside it. Rejects when the address cannot be bound. */
export async function startXdsServer(options: XdsServerOptions): Promise<XdsServer> {
  const { security, clock, logger } = options;
  if (security === undefined && !(options.plaintext === true && LOOPBACK.test(options.host)))
    throw new RangeError(`without security the xDS server listens only if asked to, and on loopback, not on ${options.host}`);
  const logRefusal = createRefusalLog(logger, clock);
  const admission = { authenticate: security?.authenticate, log: logRefusal };
  const proxies = new ProxyTable({ ...options, logRefusal });
  const server = new Server({
    interceptors: [tellingOfLargeMessages(logRefusal)],
    "grpc.max_receive_message_length": LARGEST_REQUEST_BYTES,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION,
    "grpc.max_connection_idle_ms": IDLE_CONNECTION_MS,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
  });
  // Nothing is read before a stream is admitted: an error on a stream whose requests wait unread still reaches the client.
  const delta: handleBidiStreamingCall<Buffer, Buffer> = (call) =>
    admitted(
      admission,
      call,
      (peer) => proxies.open(new Connection(call, clock, logger, proxies, peer)),
      (code, details) => call.emit("error", { code, details }),
    );
  const stateOfTheWorld: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    logRefusal("state-of-the-world", call.getPeer().replace(/:\d+$/, ""));
    call.emit("error", { code: status.UNIMPLEMENTED, details: "Weft serves the delta protocol only: set `api_type: DELTA_GRPC` in `ads_config`" });
  };
  server.addService(AGGREGATED_DISCOVERY_SERVICE, { DeltaAggregatedResources: delta, StreamAggregatedResources: stateOfTheWorld });
  const watch = createFilterWatch(clock, (proxyId, deaths) => options.onFilterDead?.(proxyId, deaths));
  server.addService(METRICS_SERVICE, { Export: takeMetrics({ admission, logger, onDeaths: watch.report }) });
  const listener: Listener = await listen(server, options, logRefusal, security?.certificate);
  return {
    port: listener.port,
    publish: (snapshot) => proxies.publish(snapshot),
    state: () => proxies.states(),
    accepted: () => proxies.accepted,
    sent: () => proxies.sent(),
    secretsHeld: (proxyId) => proxies.secretsHeld(proxyId),
    replaceCertificate: listener.replaceCertificate,
    close: async () => {
      proxies.close();
      listener.close();
      server.forceShutdown();
    },
  };
}
