// A stream's state machine against the model of Envoy, for tests: snapshots go in, requests and responses go to and fro one at a time, and all that was sent
// is kept. The clock is turned by hand.
import { EMPTY_QUARANTINE, type Quarantine, quarantined, type Refusal } from "../snapshot/quarantine.ts";
import { buildSnapshot, type ProxySnapshot, type Snapshot } from "../snapshot/snapshot.ts";
import type { TranslatedResource, XdsType } from "../translate/resource.ts";
import { FakeEnvoy } from "./fake-envoy.ts";
import { nextResponse, receiveRequest, setTarget, wakeAtMs } from "./stream.ts";
import { newStream, type StreamState } from "./stream-state.ts";
import type { DeltaRequest, DeltaResponse } from "./wire.ts";

const PROXY = "sidecar~product-a";
/** The shortest that Weft waits in service. */
const REMOVAL_DELAY_MS = 15_000;

/** One proxy, its stream, and a control plane that publishes to it. */
export class StreamUnderTest {
  readonly envoy = new FakeEnvoy();
  /** All responses since the last {@link forget}, oldest first. */
  sent: DeltaResponse[] = [];
  readonly refusals: Refusal[] = [];
  nowMs = 0;
  /** Goes into what is published from now on. */
  removalDelayMs = REMOVAL_DELAY_MS;
  snapshot: Snapshot | undefined;
  state: StreamState = newStream(PROXY);
  private quarantine: Quarantine = EMPTY_QUARANTINE;
  private resources: readonly TranslatedResource[] = [];
  private readonly accepted = new Map<string, ProxySnapshot>();
  private toServer: DeltaRequest[] = [];
  private toEnvoy: DeltaResponse[] = [];

  constructor() {
    this.connect();
  }

  /** Publishes a snapshot of these resources; nothing moves yet. */
  publish(resources: readonly TranslatedResource[]): void {
    this.resources = resources;
    this.snapshot = buildSnapshot({
      previous: this.snapshot,
      translation: { proxies: new Map([[PROXY, { proxyId: PROXY, resources }]]), diagnostics: [] },
      quarantine: this.quarantine,
      accepted: this.accepted,
      revision: (this.snapshot?.revision ?? 0) + 1,
      removalDelayMs: this.removalDelayMs,
    });
    this.quarantine = this.snapshot.quarantine;
    this.target();
  }

  /** The stream breaks, with what is under way, and another is opened. */
  connect(): void {
    this.state = newStream(PROXY);
    this.toServer = [];
    this.toEnvoy = [];
    this.envoy.connect();
    this.target();
  }

  /** The control plane is killed and started again: it knows nothing but the same resources. */
  restart(): void {
    this.snapshot = undefined;
    this.quarantine = EMPTY_QUARANTINE;
    this.accepted.clear();
    this.connect();
    this.publish(this.resources);
  }

  /** The server takes the oldest request. False when there is none. */
  takeRequest(): boolean {
    this.toServer.push(...this.envoy.takeRequests());
    const request = this.toServer.shift();
    if (request === undefined) return false;
    const refusal = receiveRequest(this.state, request);
    if (refusal !== undefined) {
      this.refusals.push(refusal);
      this.quarantine = quarantined(this.quarantine, refusal);
      this.publish(this.resources);
    }
    return true;
  }

  /** The server writes one response. False when it has nothing to say. */
  writeResponse(): boolean {
    const response = nextResponse(this.state, this.nowMs);
    const { target, ackedRevision } = this.state;
    if (target !== undefined && ackedRevision === target.revision) this.accepted.set(PROXY, target);
    if (response === undefined) return false;
    this.sent.push(response);
    this.toEnvoy.push(response);
    return true;
  }

  /** Envoy takes the oldest response. False when there is none under way. */
  deliverResponse(): boolean {
    const response = this.toEnvoy.shift();
    if (response === undefined) return false;
    this.envoy.receive(response);
    return true;
  }

  /** Lets everything that is under way arrive, until neither side has anything to say. Throws when they never stop. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const moved = [this.takeRequest(), this.writeResponse(), this.deliverResponse()];
      if (!moved.includes(true)) return;
    }
    throw new Error("the two sides never stop talking");
  }

  /** Turns the clock past all delayed removals, and settles. */
  settleRemovals(): void {
    this.settle();
    this.envoy.giveUpWarming();
    this.settle();
    for (let dueMs = wakeAtMs(this.state, this.nowMs); dueMs !== undefined; dueMs = wakeAtMs(this.state, this.nowMs)) {
      this.nowMs = dueMs;
      this.settle();
    }
    if (wakeAtMs(this.state, Number.NEGATIVE_INFINITY) !== undefined) throw new Error("a removal that is due is never sent");
  }

  /** Forgets what was sent so far. */
  forget(): void {
    this.sent = [];
  }

  /** What was sent, in order: `cluster web`, `-cluster web` for a removal. */
  lines(): readonly string[] {
    return this.sent.flatMap(({ type, resources, removed }) => [
      ...resources.map(({ name }) => `${type} ${name}`),
      ...removed.map((name) => `-${type} ${name}`),
    ]);
  }

  /** Names sent of one type, one list per response. */
  responsesOf(type: XdsType): readonly (readonly string[])[] {
    return this.sent.filter((response) => response.type === type).map(({ resources, removed }) => [...resources.map(({ name }) => name), ...removed]);
  }

  get ackedRevision(): number {
    return this.state.ackedRevision;
  }

  private target(): void {
    const target = this.snapshot?.proxies.get(PROXY);
    if (target !== undefined) setTarget(this.state, target, this.removalDelayMs);
  }
}
