// The delta ADS server: snapshots in, streams of Envoys out. The only place of the pipeline that holds sockets.
import { type handleBidiStreamingCall, Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";
import type { ProxySnapshot, Snapshot } from "../snapshot/snapshot.ts";
import { Connection, type SentCounters } from "./connection.ts";
import { createFilterWatch } from "./filter-watch.ts";
import { METRICS_SERVICE, streamMetrics } from "./metrics-service.ts";
import type { ProxyReport } from "./proxy-state.ts";
import { ProxyTable, type ProxyTableOptions } from "./proxy-table.ts";

export interface XdsServerOptions extends ProxyTableOptions {
  readonly host: string;
  /** 0: chosen by the system. */
  readonly port: number;
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
  /** Ends all streams and frees the port. */
  readonly close: () => Promise<void>;
}

/** A reconnect reports name and version of all that a proxy holds: some 100 bytes each. */
const LARGEST_REQUEST_BYTES = 4 * 1024 * 1024;
/** An Envoy opens two: discovery and metrics. Clients of tests and benchmarks share a connection. */
const STREAMS_PER_CONNECTION = 100;
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
  const proxies = new ProxyTable(options);
  const server = new Server({
    "grpc.max_receive_message_length": LARGEST_REQUEST_BYTES,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
  });
  const delta: handleBidiStreamingCall<Buffer, Buffer> = (call) => proxies.open(new Connection(call, options.clock, options.logger, proxies));
  const stateOfTheWorld: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    options.logger.warn({ peer: call.getPeer() }, "refused a state-of-the-world stream");
    // Nothing is read: an error on a stream whose requests wait unread still reaches the client.
    call.emit("error", { code: status.UNIMPLEMENTED, details: "Weft serves the delta protocol only: set `api_type: DELTA_GRPC` in `ads_config`" });
  };
  server.addService(AGGREGATED_DISCOVERY_SERVICE, { DeltaAggregatedResources: delta, StreamAggregatedResources: stateOfTheWorld });
  const watch = createFilterWatch(options.clock, (proxyId, deaths) => options.onFilterDead?.(proxyId, deaths));
  server.addService(METRICS_SERVICE, { StreamMetrics: streamMetrics(options.logger, watch.report) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${options.host}:${options.port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    port,
    publish: (snapshot) => proxies.publish(snapshot),
    state: () => proxies.states(),
    accepted: () => proxies.accepted,
    sent: () => proxies.sent(),
    close: async () => {
      proxies.close();
      server.forceShutdown();
    },
  };
}
