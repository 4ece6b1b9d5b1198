// All proxies that the server knows, and their open streams: who gets which snapshot, and how far each one is.
import { status } from "@grpc/grpc-js";
import type { Refusal } from "../snapshot/quarantine.ts";
import type { ProxySnapshot, Snapshot } from "../snapshot/snapshot.ts";
import type { Clock } from "./clock.ts";
import type { Connection, Logger, SentCounters } from "./connection.ts";
import { endOfPeer } from "./peer-end.ts";
import type { ProxyReport, ProxyState } from "./proxy-state.ts";
import type { LogRefusal } from "./refusal-log.ts";
import type { SecretSource } from "./secret-source.ts";

export interface ProxyTableOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called when a proxy's state changes. */
  readonly onState: (state: ProxyState) => void;
  /** Called when a proxy refuses a resource that was sent alone: put it into quarantine and publish again. */
  readonly onNack: (refusal: Refusal) => void;
  /** Called when a proxy asks for virtual hosts on demand, and on a new stream for those that it holds: put them into its next snapshot. */
  readonly onHostsAsked?: (proxyId: string, names: readonly string[]) => void;
  /** How long a stream of an unknown proxy is kept open for the proxy to appear in a snapshot. */
  readonly unknownProxyWaitMs?: number;
  /** Who a proxy of the mesh is: a token must say the same. Undefined where it is not known. Default: nobody is known, and nothing compared. */
  readonly identityOf?: (proxyId: string) => { readonly namespace: string; readonly serviceAccount: string } | undefined;
  /** Supplies what `secret` resources the snapshots carry. */
  readonly secrets?: SecretSource;
  readonly logRefusal: LogRefusal;
}

const UNKNOWN_PROXY_WAIT_MS = 30_000;
/** How long a stream may take to say who it is. */
const IDENTIFICATION_MS = 10_000;
/** Of one proxy: a broken one lingers until its keepalive fails, and a second Envoy stands in for the first while that is replaced. */
const STREAMS_PER_PROXY = 4;
/** Of one token, those included that have not said who they are. */
const STREAMS_PER_TOKEN = 2 * STREAMS_PER_PROXY;
/** Of a text that is logged though it comes from a stranger. */
const LONGEST_CLAIM = 100;

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
export class ProxyTable {
  readonly accepted = new Map<string, ProxySnapshot>();
  private readonly records = new Map<string, ProxyRecord>();
  private readonly connections = new Set<Connection>();
  private readonly waits = new Map<Connection, () => void>();
  private readonly ends = new Map<Connection, () => void>();
  /** By the proxy that the token names, oldest first. */
  private readonly byToken = new Map<string, Connection[]>();
  private snapshot: Snapshot | undefined;
  private readonly options: ProxyTableOptions;

  constructor(options: ProxyTableOptions) {
    this.options = options;
  }

  open(connection: Connection): void {
    this.connections.add(connection);
    const { clock } = this.options;
    const { peer } = connection;
    if (peer !== undefined) {
      this.ends.set(
        connection,
        endOfPeer(peer, clock, () => connection.close()),
      );
      const own = this.byToken.get(peer.proxyId) ?? [];
      this.byToken.set(peer.proxyId, [...own, connection]);
      if (own.length >= STREAMS_PER_TOKEN) {
        this.options.logRefusal("too-many-streams", peer.proxyId);
        own[0]?.refuse(status.RESOURCE_EXHAUSTED, "newer streams of this proxy have taken its place");
      }
    }
    this.waits.set(
      connection,
      clock.after(IDENTIFICATION_MS, () => {
        this.options.logRefusal("unidentified", peer?.proxyId ?? "");
        connection.refuse(status.DEADLINE_EXCEEDED, "the stream has not said which proxy it belongs to");
      }),
    );
  }

  publish(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    for (const proxyId of snapshot.proxies.keys()) this.recordOf(proxyId);
    for (const [proxyId, record] of this.records) {
      const target = snapshot.proxies.get(proxyId);
      if (target !== undefined) for (const connection of [...record.connections]) this.serve(connection, target, snapshot.removalDelayMs);
      else if (record.connections.length === 0) this.forget(proxyId);
    }
  }

  states(): readonly ProxyReport[] {
    return [...this.records].map(([proxyId, record]) => this.reportOf(proxyId, record)).sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1));
  }

  secretsHeld(proxyId: string): { readonly connected: boolean; readonly versions: ReadonlyMap<string, string> | undefined } {
    const newest = this.records.get(proxyId)?.connections.at(-1);
    return { connected: newest !== undefined, versions: newest?.secretsHeld };
  }

  sent(): readonly SentCounters[] {
    return [...this.connections].map(({ counters }) => counters);
  }

  close(): void {
    for (const connection of [...this.connections]) connection.close();
  }

  readonly onIdentified = (connection: Connection): void => {
    const { proxyId } = connection;
    this.endWait(connection);
    const { connections } = this.recordOf(proxyId);
    connections.push(connection);
    if (connections.length > STREAMS_PER_PROXY) {
      this.options.logRefusal("too-many-streams", proxyId);
      connections[0]?.refuse(status.RESOURCE_EXHAUSTED, "newer streams of this proxy have taken its place");
    }
    const target = this.snapshot?.proxies.get(proxyId);
    if (target !== undefined && this.snapshot !== undefined) {
      if (connections.length === 1) this.options.logger.info({ proxyId }, "proxy connected");
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

  readonly onForged = (connection: Connection, nodeId: string): void => {
    this.options.logRefusal("forged-node", connection.peer?.proxyId ?? "", { claimed: nodeId.slice(0, LONGEST_CLAIM) });
    connection.refuse(status.PERMISSION_DENIED, "the token is another proxy's: node.id must be the proxy that the token names");
  };

  readonly onSecretsAsked = ({ proxyId, target }: Connection, names: readonly string[], held: ReadonlyMap<string, string>): void => {
    const foreign = names.filter((name) => name !== "*" && target?.view.get("secret")?.has(name) === false && !target.frozen.has(`secret/${name}`));
    if (foreign.length > 0) this.options.logRefusal("foreign-secret", proxyId, { asked: foreign.slice(0, 3).map((name) => name.slice(0, LONGEST_CLAIM)) });
    this.options.secrets?.asked(proxyId, names, held);
  };

  readonly onHostsAsked = ({ proxyId }: Connection, names: readonly string[]): void => this.options.onHostsAsked?.(proxyId, names);

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
    this.endToken(connection);
    const { proxyId } = connection;
    const record = this.records.get(proxyId);
    const index = record?.connections.indexOf(connection) ?? -1;
    if (record === undefined || index < 0) return;
    record.connections.splice(index, 1);
    if (record.connections.length === 0) this.options.logger.info({ proxyId }, "proxy disconnected");
    this.report(proxyId, record);
    if (record.connections.length === 0) this.options.secrets?.left(proxyId);
    if (record.connections.length === 0 && this.snapshot?.proxies.has(proxyId) !== true) this.forget(proxyId);
  };

  /** A token is of one service account: should the mesh run the proxy under another one meanwhile, the stream is not the mesh's proxy. */
  private serve(connection: Connection, target: ProxySnapshot, removalDelayMs: number): void {
    this.endWait(connection);
    const { peer, proxyId } = connection;
    const identity = this.options.identityOf?.(proxyId);
    if (peer !== undefined && identity !== undefined && (peer.namespace !== identity.namespace || peer.serviceAccount !== identity.serviceAccount)) {
      this.options.logRefusal("other-identity", proxyId, { token: `${peer.namespace}/${peer.serviceAccount}`.slice(0, LONGEST_CLAIM) });
      connection.refuse(status.PERMISSION_DENIED, `the token is of another service account than ${proxyId}`);
      return;
    }
    connection.publish(target, removalDelayMs);
  }

  private endToken(connection: Connection): void {
    this.ends.get(connection)?.();
    this.ends.delete(connection);
    const { peer } = connection;
    if (peer === undefined) return;
    const rest = (this.byToken.get(peer.proxyId) ?? []).filter((other) => other !== connection);
    if (rest.length === 0) this.byToken.delete(peer.proxyId);
    else this.byToken.set(peer.proxyId, rest);
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

  private reportOf(proxyId: string, record: ProxyRecord): ProxyReport {
    const newest = record.connections.at(-1)?.counters;
    const state = stateOf(proxyId, record);
    const targetRevision = this.snapshot?.proxies.get(proxyId)?.revision ?? 0;
    return {
      ...state,
      targetRevision,
      upToDate: state.connected && targetRevision > 0 && state.ackedRevision >= targetRevision,
      responsesSent: newest?.responses ?? 0,
      resourcesSent: newest?.resources ?? 0,
      removalsSent: newest?.removals ?? 0,
      bytesSent: newest?.sizeBytes ?? 0,
    };
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
