// A proxy that stops reading: it costs the others nothing and the control plane a bounded amount, and when it reads again it gets the newest and nothing between.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import pino from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { EMPTY_QUARANTINE } from "../snapshot/quarantine.ts";
import { buildSnapshot, type Snapshot } from "../snapshot/snapshot.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import { systemClock } from "./clock.ts";
import { contentOf, testResource } from "./fake-envoy.ts";
import { AGGREGATED_DISCOVERY_SERVICE, startXdsServer } from "./server.ts";
import { nextResponse, receiveRequest, setTarget } from "./stream.ts";
import { newStream } from "./stream-state.ts";
import { MOST_PENDING } from "./subscription.ts";

const passBytes = (bytes: Buffer) => bytes;
const RESOURCE_BYTES = 200_000;
const PUBLICATIONS = 300;
/** What HTTP/2 and the sockets take, and one response beyond. */
const BOUND_BYTES = 8_000_000;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

/** One large cluster, in a version of its own for each revision. */
function snapshotOf(proxyIds: readonly string[], revision: number, previous?: Snapshot): Snapshot {
  const large = `${revision} `.padEnd(RESOURCE_BYTES, "x");
  const resources = [testResource("cluster", "large", { revision: large })];
  const proxies = new Map(proxyIds.map((proxyId) => [proxyId, { proxyId, resources }]));
  return buildSnapshot({ previous, translation: { proxies, diagnostics: [] }, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision });
}

/** A stream that ACKs what it reads, and remembers the last revision. */
class Reader {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  last = 0;
  responses = 0;
  private wake: () => void = () => undefined;

  constructor(client: Client, proxyId: string) {
    this.call = client.makeBidiStreamRequest(AGGREGATED_DISCOVERY_SERVICE.DeltaAggregatedResources.path, passBytes, passBytes);
    this.call.on("error", () => undefined);
    this.call.on("data", (bytes: Buffer) => {
      const { nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      this.responses += 1;
      this.last = Number(contentOf({ body: resources[0]?.resource?.value ?? new Uint8Array() }).revision.split(" ")[0]);
      this.send({ typeUrl: TYPE_URLS.cluster, responseNonce: nonce });
      this.wake();
    });
    this.send({ node: { id: proxyId }, typeUrl: TYPE_URLS.cluster });
  }

  async reach(revision: number): Promise<void> {
    while (this.last < revision) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  private send(fields: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): void {
    this.call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields))));
  }
}

describe("a proxy that stops reading", () => {
  it("costs the others nothing and a bounded amount of memory, and gets the newest when it reads again", async () => {
    const logger = pino({ level: "silent" });
    const server = await startXdsServer({
      host: "127.0.0.1",
      port: 0,
      plaintext: true,
      logger,
      clock: systemClock,
      onState: () => undefined,
      onNack: () => undefined,
    });
    closing.push(() => server.close());
    const [slow, quick] = ["slow", "quick"].map((proxyId) => {
      const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
      closing.push(() => client.close());
      return new Reader(client, proxyId);
    });
    if (slow === undefined || quick === undefined) throw new Error("two readers");
    let snapshot = snapshotOf(["slow", "quick"], 1);
    server.publish(snapshot);
    await Promise.all([slow.reach(1), quick.reach(1)]);
    slow.call.pause();
    for (let revision = 2; revision <= PUBLICATIONS; revision++) {
      snapshot = snapshotOf(["slow", "quick"], revision, snapshot);
      server.publish(snapshot);
      await quick.reach(revision);
    }
    const sent = new Map(server.sent().map(({ proxyId, sizeBytes }) => [proxyId, sizeBytes]));
    expect(sent.get("quick")).toBeGreaterThan(PUBLICATIONS * RESOURCE_BYTES);
    expect(sent.get("slow")).toBeLessThan(BOUND_BYTES);
    slow.call.resume();
    await slow.reach(PUBLICATIONS);
    expect(slow.responses).toBeLessThan(PUBLICATIONS / 2);
  });
});

describe("a proxy that reads and never answers", () => {
  it("has a bounded number of responses remembered for it", () => {
    const stream = newStream("silent");
    receiveRequest(stream, { typeUrl: TYPE_URLS.cluster, subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "" });
    let snapshot = snapshotOf(["silent"], 1);
    for (let revision = 2; revision <= 2 * MOST_PENDING; revision++) {
      snapshot = snapshotOf(["silent"], revision, snapshot);
      const target = snapshot.proxies.get("silent");
      if (target !== undefined) setTarget(stream, target, 0);
      expect(nextResponse(stream, 0)?.type).toBe("cluster");
    }
    expect(stream.subscriptions.cluster.pending.size).toBe(MOST_PENDING);
  });
});
