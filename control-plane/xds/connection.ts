// One open gRPC stream: feeds the state machine what comes in, and writes what it gives out as fast as the proxy reads.
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Refusal } from "../snapshot/quarantine.ts";
import type { ProxySnapshot } from "../snapshot/snapshot.ts";
import { askedHost } from "../translate/names.ts";
import type { Peer } from "./authentication.ts";
import type { Clock } from "./clock.ts";
import { nextResponse, receiveRequest, setTarget, wakeAtMs } from "./stream.ts";
import { newStream, type StreamCounters, type StreamState } from "./stream-state.ts";
import { encodeResponse, parseRequest, typeOfUrl } from "./wire.ts";

/** What the server logs with; pino's shape. */
export interface Logger {
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
}

/** Asked for or held, over all types: ten times what fits into the first request of a stream, and no more than memory bears. */
const MOST_NAMES = 400_000;

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface ConnectionEvents {
  /** The first request named the proxy. */
  readonly onIdentified: (connection: Connection) => void;
  /** Something was received or sent. */
  readonly onProgress: (connection: Connection) => void;
  readonly onRefusal: (connection: Connection, refusal: Refusal) => void;
  readonly onClosed: (connection: Connection) => void;
  /** The first request named another proxy than its token. */
  readonly onForged: (connection: Connection, nodeId: string) => void;
  /** Virtual hosts were asked for on demand, or are held from a time when they were. */
  readonly onHostsAsked: (connection: Connection, names: readonly string[]) => void;
  /** Names of secrets were asked for; `held` is name to version of those that the proxy reports, on the first request alone. */
  readonly onSecretsAsked: (connection: Connection, names: readonly string[], held: ReadonlyMap<string, string>) => void;
}

/** What was sent on a stream. */
export interface SentCounters extends Readonly<StreamCounters> {
  readonly proxyId: string;
  readonly sizeBytes: number;
}

/** A live stream. Its errors end it, are logged with the proxy's id, and never reach another stream. */
export class Connection {
  private state: StreamState | undefined;
  private sizeBytes = 0;
  private blocked = false;
  private closed = false;
  private refused = false;
  private cancelWake: (() => void) | undefined;
  private readonly call: Call;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly events: ConnectionEvents;
  /** Whom the stream was proved to belong to; undefined on a server without security. */
  readonly peer: Peer | undefined;

  constructor(call: Call, clock: Clock, logger: Logger, events: ConnectionEvents, peer?: Peer) {
    this.peer = peer;
    this.call = call;
    this.clock = clock;
    this.logger = logger;
    this.events = events;
    call.on("data", (bytes: Buffer) => this.receive(bytes));
    call.on("drain", () => {
      this.blocked = false;
      this.write();
    });
    call.on("end", () => this.close());
    call.on("cancelled", () => this.close());
    call.on("error", (error: Error) => {
      // Who refuses has said so, once.
      if (!this.refused) logger.warn({ proxyId: this.proxyId, error: error.message }, "xDS stream broke");
      this.close();
    });
  }

  /** Empty until the first request has come. */
  get proxyId(): string {
    return this.state?.proxyId ?? "";
  }

  get ackedRevision(): number {
    return this.state?.ackedRevision ?? 0;
  }

  /** Name to version of the secrets that the proxy has acknowledged; undefined while it has asked for none. */
  get secretsHeld(): ReadonlyMap<string, string> | undefined {
    const subscription = this.state?.subscriptions.secret;
    if (subscription?.requested !== true) return undefined;
    return new Map([...subscription.held].flatMap(([name, { version, acked }]) => (acked ? [[name, version] as const] : [])));
  }

  /** The snapshot that this stream works towards. */
  get target(): ProxySnapshot | undefined {
    return this.state?.target;
  }

  get counters(): SentCounters {
    const { responses, resources, removals } = this.state?.counters ?? { responses: 0, resources: 0, removals: 0 };
    return { proxyId: this.proxyId, responses, resources, removals, sizeBytes: this.sizeBytes };
  }

  /** Works towards a newer snapshot; what was not written of the former one is never sent. */
  publish(target: ProxySnapshot, removalDelayMs: number): void {
    if (this.state === undefined || this.closed || (this.state.target === target && this.state.removalDelayMs === removalDelayMs)) return;
    setTarget(this.state, target, removalDelayMs);
    this.write();
  }

  /** Ends the stream with a reason that the proxy logs. */
  refuse(code: status, details: string): void {
    if (this.closed) return;
    this.refused = true;
    this.call.emit("error", { code, details });
    this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.cancelWake?.();
    this.call.end();
    this.events.onClosed(this);
  }

  private receive(bytes: Buffer): void {
    if (this.closed) return;
    try {
      const request = parseRequest(bytes);
      if (this.state === undefined) {
        if (request.node === undefined || request.node.id === "") {
          this.refuse(status.INVALID_ARGUMENT, "the first request of a stream must carry node.id");
          return;
        }
        if (this.peer !== undefined && this.peer.proxyId !== request.node.id) {
          this.events.onForged(this, request.node.id);
          return;
        }
        this.state = newStream(request.node.id);
        this.events.onIdentified(this);
      }
      if (typeOfUrl(request.typeUrl) === undefined) this.logger.warn({ proxyId: this.proxyId, typeUrl: request.typeUrl }, "xDS type is not served");
      const refusal = receiveRequest(this.state, request);
      if (typeOfUrl(request.typeUrl) === "secret" && request.subscribe.length > 0) this.events.onSecretsAsked(this, request.subscribe, request.initialVersions);
      if (typeOfUrl(request.typeUrl) === "virtualHost") {
        const hosts = [...request.subscribe, ...request.initialVersions.keys()].filter((name) => askedHost(name) !== undefined);
        if (hosts.length > 0) this.events.onHostsAsked(this, hosts);
      }
      if (request.error !== undefined) this.logger.warn({ proxyId: this.proxyId, typeUrl: request.typeUrl, reason: request.error }, "proxy refused a response");
      if (refusal !== undefined) this.events.onRefusal(this, refusal);
      if (namesHeld(this.state) > MOST_NAMES) this.refuse(status.RESOURCE_EXHAUSTED, `a stream may name ${MOST_NAMES} resources`);
      else this.write();
    } catch (error) {
      this.fail(error);
    }
  }

  /** One response after another until there is nothing to send or the proxy does not keep up; then what changes meanwhile is coalesced. */
  private write(): void {
    if (this.closed || this.state === undefined) return;
    try {
      let askedAtMs = this.clock.nowMs();
      while (!this.blocked) {
        askedAtMs = this.clock.nowMs();
        const response = nextResponse(this.state, askedAtMs);
        if (response === undefined) break;
        const bytes = encodeResponse(response);
        this.sizeBytes += bytes.length;
        this.blocked = !this.call.write(bytes);
      }
      this.wakeLater(this.state, askedAtMs);
      this.events.onProgress(this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** `askedAtMs`, not the time now: a removal that falls due between the two would wait for ever. */
  private wakeLater(state: StreamState, askedAtMs: number): void {
    this.cancelWake?.();
    this.cancelWake = undefined;
    const dueMs = wakeAtMs(state, askedAtMs);
    if (dueMs !== undefined) this.cancelWake = this.clock.after(Math.max(0, dueMs - this.clock.nowMs()), () => this.write());
  }

  private fail(error: unknown): void {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.logger.error({ proxyId: this.proxyId, error: reason }, "xDS stream failed");
    this.refuse(status.INTERNAL, "the control plane failed on this stream; connect again");
  }
}

function namesHeld({ subscriptions }: StreamState): number {
  return Object.values(subscriptions).reduce((sum, { names, held, owed }) => sum + names.size + held.size + owed.size, 0);
}
