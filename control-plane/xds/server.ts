// The delta ADS server: snapshots in, streams of Envoys out. The only place of the pipeline that holds sockets.
import { type handleBidiStreamingCall, Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";
import type { Refusal } from "../snapshot/quarantine.ts";
import type { ProxySnapshot, Snapshot } from "../snapshot/snapshot.ts";
import type { Clock } from "./clock.ts";
import { Connection, type Logger, type SentCounters } from "./connection.ts";
import type { ProxyState } from "./proxy-state.ts";

export interface XdsServerOptions {
  readonly host: string;
  /** 0: chosen by the system. */
  readonly port: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called when a proxy's state changes. */
  readonly onState: (state: ProxyState) => void;
  /** Called when a proxy refuses a resource that was sent alone: put it into quarantine and publish again. */
  readonly onNack: (refusal: Refusal) => void;
  /** How long a stream of an unknown proxy is kept open for the proxy to appear in a snapshot. */
  readonly unknownProxyWaitMs?: number;
}

export interface XdsServer {
  readonly port: number;
  /** Serves a newer snapshot. A proxy that is no longer in it keeps what it holds. */
  readonly publish: (snapshot: Snapshot) => void;
  /** By proxy id, in byte order. Proxies that are in a snapshot or have connected. */
  readonly state: () => readonly ProxyState[];
  /** By proxy id, the last snapshot of which the proxy ACKed everything: what serves in place of what Envoy refuses. */
  readonly accepted: () => ReadonlyMap<string, ProxySnapshot>;
  /** What was sent on each open stream, in the order in which they were opened. */
  readonly sent: () => readonly SentCounters[];
  /** Ends all streams and frees the port. */
  readonly close: () => Promise<void>;
}

const UNKNOWN_PROXY_WAIT_MS = 30_000;
/** A reconnect reports name and version of all that a proxy holds: some 100 bytes each. */
const LARGEST_REQUEST_BYTES = 4 * 1024 * 1024;
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

/** Starts the server. Rejects when the address cannot be bound. */
export async function startXdsServer(options: XdsServerOptions): Promise<XdsServer> {
  const proxies = new ProxyTable(options);
  const server = new Server({
    "grpc.max_receive_message_length": LARGEST_REQUEST_BYTES,
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

/** What the server knows of one proxy, over all its streams. */
interface ProxyRecord {
  /** More than one while an Envoy is replaced: the newest counts. */
  readonly connections: Connection[];
  ackedRevision: number;
  nacks: number;
  /** What was reported last. */
  reported: ProxyState | undefined;
}

/** All proxies and their open streams. */
class ProxyTable {
  readonly accepted = new Map<string, ProxySnapshot>();
  private readonly records = new Map<string, ProxyRecord>();
  private readonly connections = new Set<Connection>();
  private readonly waits = new Map<Connection, () => void>();
  private snapshot: Snapshot | undefined;
  private readonly options: XdsServerOptions;

  constructor(options: XdsServerOptions) {
    this.options = options;
  }

  open(connection: Connection): void {
    this.connections.add(connection);
  }

  publish(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    for (const proxyId of snapshot.proxies.keys()) this.recordOf(proxyId);
    for (const [proxyId, record] of this.records) {
      const target = snapshot.proxies.get(proxyId);
      if (target !== undefined) for (const connection of record.connections) this.serve(connection, target, snapshot.removalDelayMs);
      else if (record.connections.length === 0) this.forget(proxyId);
    }
  }

  states(): readonly ProxyState[] {
    return [...this.records].map(([proxyId, record]) => stateOf(proxyId, record)).sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1));
  }

  sent(): readonly SentCounters[] {
    return [...this.connections].map(({ counters }) => counters);
  }

  close(): void {
    for (const connection of [...this.connections]) connection.close();
  }

  readonly onIdentified = (connection: Connection): void => {
    const { proxyId } = connection;
    this.recordOf(proxyId).connections.push(connection);
    const target = this.snapshot?.proxies.get(proxyId);
    if (target !== undefined && this.snapshot !== undefined) {
      this.options.logger.info({ proxyId }, "proxy connected");
      this.serve(connection, target, this.snapshot.removalDelayMs);
      return;
    }
    const waitMs = this.options.unknownProxyWaitMs ?? UNKNOWN_PROXY_WAIT_MS;
    this.options.logger.warn({ proxyId, waitMs }, "a proxy connected that the mesh does not know; waiting for it to appear");
    this.waits.set(
      connection,
      this.options.clock.after(waitMs, () => {
        this.options.logger.warn({ proxyId }, "the mesh still does not know this proxy; its stream ends");
        connection.refuse(status.NOT_FOUND, `the mesh does not know a proxy with node id ${proxyId}`);
      }),
    );
  };

  readonly onProgress = (connection: Connection): void => {
    const record = this.recordOf(connection.proxyId);
    if (connection.target !== undefined && connection.ackedRevision === connection.target.revision) this.accepted.set(connection.proxyId, connection.target);
    record.ackedRevision = Math.max(record.ackedRevision, connection.ackedRevision);
    this.report(connection.proxyId, record);
  };

  readonly onRefusal = (connection: Connection, refusal: Refusal): void => {
    const { resource, reason, proxyId } = refusal;
    this.recordOf(connection.proxyId).nacks += 1;
    this.options.logger.error({ proxyId, type: resource.type, resource: resource.name, version: resource.version, reason }, "proxy refused a resource");
    this.options.onNack(refusal);
  };

  readonly onClosed = (connection: Connection): void => {
    this.connections.delete(connection);
    this.endWait(connection);
    const { proxyId } = connection;
    const record = this.records.get(proxyId);
    const index = record?.connections.indexOf(connection) ?? -1;
    if (record === undefined || index < 0) return;
    record.connections.splice(index, 1);
    this.options.logger.info({ proxyId }, "proxy disconnected");
    this.report(proxyId, record);
    if (record.connections.length === 0 && this.snapshot?.proxies.has(proxyId) !== true) this.forget(proxyId);
  };

  private serve(connection: Connection, target: ProxySnapshot, removalDelayMs: number): void {
    this.endWait(connection);
    connection.publish(target, removalDelayMs);
  }

  private endWait(connection: Connection): void {
    this.waits.get(connection)?.();
    this.waits.delete(connection);
  }

  private recordOf(proxyId: string): ProxyRecord {
    const known = this.records.get(proxyId);
    if (known !== undefined) return known;
    const record: ProxyRecord = { connections: [], ackedRevision: 0, nacks: 0, reported: undefined };
    this.records.set(proxyId, record);
    return record;
  }

  private forget(proxyId: string): void {
    this.records.delete(proxyId);
    this.accepted.delete(proxyId);
  }

  private report(proxyId: string, record: ProxyRecord): void {
    const state = stateOf(proxyId, record);
    const { reported } = record;
    if (reported?.connected === state.connected && reported.ackedRevision === state.ackedRevision && reported.nacks === state.nacks) return;
    record.reported = state;
    this.options.onState(state);
  }
}

function stateOf(proxyId: string, record: ProxyRecord): ProxyState {
  return { proxyId, connected: record.connections.length > 0, ackedRevision: record.ackedRevision, nacks: record.nacks };
}
