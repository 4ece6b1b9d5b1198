// The server over real sockets: who gets in, what each proxy is told, and what a client cannot do. Order and content are tested on the stream itself.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from "@grpc/grpc-js";
import pino from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { EMPTY_QUARANTINE, type Refusal } from "../snapshot/quarantine.ts";
import { buildSnapshot, type Snapshot } from "../snapshot/snapshot.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import { FILTER_DEATHS } from "../translate/filter-deaths.ts";
import type { TranslatedResource } from "../translate/resource.ts";
import { systemClock } from "./clock.ts";
import { testResource } from "./fake-envoy.ts";
import { METRICS_SERVICE } from "./metrics-service.ts";
import type { ProxyState } from "./proxy-state.ts";
import { reportOf } from "./reported-metrics.ts";
import { AGGREGATED_DISCOVERY_SERVICE, startXdsServer, type XdsServer, type XdsServerOptions } from "./server.ts";

const { DeltaAggregatedResources: DELTA, StreamAggregatedResources: STATE_OF_THE_WORLD } = AGGREGATED_DISCOVERY_SERVICE;
const passBytes = (bytes: Buffer) => bytes;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

interface Heard {
  readonly states: ProxyState[];
  readonly refusals: Refusal[];
  readonly deaths: string[];
}

async function start(options: Partial<XdsServerOptions> = {}): Promise<{ readonly server: XdsServer; readonly heard: Heard; readonly client: Client }> {
  const heard: Heard = { states: [], refusals: [], deaths: [] };
  const server = await startXdsServer({
    host: "127.0.0.1",
    port: 0,
    plaintext: true,
    logger: pino({ level: "silent" }),
    clock: systemClock,
    onState: (state) => heard.states.push(state),
    onNack: (refusal) => heard.refusals.push(refusal),
    onFilterDead: (proxyId, deaths) => heard.deaths.push(`${proxyId} ${deaths}`),
    ...options,
  });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  closing.push(
    () => server.close(),
    () => client.close(),
  );
  return { server, heard, client };
}

/** A stream as a proxy would open it. */
class Stream {
  readonly responses: DeltaDiscoveryResponse[] = [];
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  readonly ended: Promise<ServiceError>;
  private wake: () => void = () => undefined;

  constructor(client: Client, path = DELTA.path) {
    this.call = client.makeBidiStreamRequest(path, passBytes, passBytes);
    this.ended = new Promise((resolve) => this.call.once("error", resolve));
    this.call.on("error", () => undefined);
    this.call.on("data", (bytes: Buffer) => {
      this.responses.push(fromBinary(DeltaDiscoveryResponseSchema, bytes));
      this.wake();
    });
  }

  send(fields: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): void {
    this.call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields))));
  }

  /** The next response. */
  async next(): Promise<DeltaDiscoveryResponse> {
    while (this.responses.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
    const response = this.responses.shift();
    if (response === undefined) throw new Error("no response");
    return response;
  }
}

function snapshotOf(proxies: Readonly<Record<string, readonly TranslatedResource[]>>, revision = 1): Snapshot {
  const translation = {
    proxies: new Map(Object.entries(proxies).map(([proxyId, resources]) => [proxyId, { proxyId, resources }])),
    diagnostics: [],
  };
  return buildSnapshot({ translation, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision });
}

const CLUSTERS = [testResource("cluster", "web")];
const names = ({ resources }: DeltaDiscoveryResponse) => resources.map(({ name }) => name);

/** Brings a proxy of one cluster up to date. */
async function upToDate(client: Client, proxyId: string): Promise<Stream> {
  const stream = new Stream(client);
  stream.send({ node: { id: proxyId }, typeUrl: TYPE_URLS.cluster });
  stream.send({ typeUrl: TYPE_URLS.listener });
  // The clusters, and that there are no listeners.
  for (const type of ["cluster", "listener"] as const) {
    const { nonce } = await stream.next();
    stream.send({ typeUrl: TYPE_URLS[type], responseNonce: nonce });
  }
  return stream;
}

const report = (client: Client, bytes: Buffer): Promise<ServiceError | null> =>
  new Promise((resolve) => client.makeUnaryRequest(METRICS_SERVICE.Export.path, passBytes, passBytes, bytes, resolve));

describe("the xDS server", () => {
  it("serves each proxy its own resources, and what is published later", async () => {
    const { server, client } = await start();
    server.publish(snapshotOf({ a: CLUSTERS, b: [testResource("cluster", "api")] }));
    const [a, b] = [new Stream(client), new Stream(client)];
    a.send({ node: { id: "a" }, typeUrl: TYPE_URLS.cluster });
    b.send({ node: { id: "b" }, typeUrl: TYPE_URLS.cluster });
    expect(names(await a.next())).toEqual(["web"]);
    expect(names(await b.next())).toEqual(["api"]);
    server.publish(snapshotOf({ a: [...CLUSTERS, testResource("cluster", "late")], b: [] }, 2));
    expect(names(await a.next())).toEqual(["late"]);
  });

  // Rule 12.
  it("answers a state-of-the-world stream with a clear error", async () => {
    const { client } = await start();
    const stream = new Stream(client, STATE_OF_THE_WORLD.path);
    stream.send({ node: { id: "a" }, typeUrl: TYPE_URLS.cluster });
    expect(await stream.ended).toMatchObject({ code: status.UNIMPLEMENTED, details: expect.stringContaining("DELTA_GRPC") });
  });

  it("reports how far each proxy is, and what it was sent", async () => {
    const { server, client, heard } = await start();
    server.publish(snapshotOf({ a: CLUSTERS, b: CLUSTERS }, 7));
    await upToDate(client, "a");
    await expect.poll(() => server.state()[0]?.upToDate).toBe(true);
    expect(server.state()).toMatchObject([
      { proxyId: "a", connected: true, ackedRevision: 7, targetRevision: 7, upToDate: true, nacks: 0, responsesSent: 2, resourcesSent: 1, removalsSent: 0 },
      { proxyId: "b", connected: false, ackedRevision: 0, targetRevision: 7, upToDate: false, resourcesSent: 0, bytesSent: 0 },
    ]);
    expect(server.state()[0]?.bytesSent).toBeGreaterThan(100);
    expect(heard.states.at(-1)).toEqual({ proxyId: "a", connected: true, ackedRevision: 7, nacks: 0 });
    expect([...server.accepted().keys()]).toEqual(["a"]);
  });

  it("acknowledges a revision that changes nothing for a proxy without sending anything", async () => {
    const { server, client } = await start();
    server.publish(snapshotOf({ a: CLUSTERS }, 1));
    await upToDate(client, "a");
    await expect.poll(() => server.state()[0]?.ackedRevision).toBe(1);
    server.publish(snapshotOf({ a: CLUSTERS }, 2));
    expect(server.state()[0]).toMatchObject({ ackedRevision: 2, resourcesSent: 1, upToDate: true });
  });

  it("hands on what a proxy refuses, and counts it", async () => {
    const { server, client, heard } = await start();
    server.publish(snapshotOf({ a: CLUSTERS }));
    const stream = new Stream(client);
    stream.send({ node: { id: "a" }, typeUrl: TYPE_URLS.cluster });
    const { nonce } = await stream.next();
    stream.send({ typeUrl: TYPE_URLS.cluster, responseNonce: nonce, errorDetail: { message: "bad cluster" } });
    await expect.poll(() => heard.refusals).toMatchObject([{ proxyId: "a", reason: "bad cluster", resource: { name: "web" } }]);
    await expect.poll(() => server.state()[0]?.nacks).toBe(1);
  });

  it("waits for a proxy to appear in the mesh, then ends its stream", async () => {
    const { server, client } = await start({ unknownProxyWaitMs: 50 });
    const stream = new Stream(client);
    stream.send({ node: { id: "early" }, typeUrl: TYPE_URLS.cluster });
    await expect.poll(() => server.state().length).toBe(1);
    server.publish(snapshotOf({ early: CLUSTERS }));
    expect(names(await stream.next())).toEqual(["web"]);
    const stranger = new Stream(client);
    stranger.send({ node: { id: "stranger" }, typeUrl: TYPE_URLS.cluster });
    expect(await stranger.ended).toMatchObject({ code: status.NOT_FOUND, details: expect.stringContaining("stranger") });
    await expect.poll(() => server.state().map(({ proxyId }) => proxyId)).toEqual(["early"]);
  });

  it.each([
    { what: "a first request without a node", send: (stream: Stream) => stream.send({ typeUrl: TYPE_URLS.cluster }), code: status.INVALID_ARGUMENT },
    { what: "bytes that are no request", send: (stream: Stream) => stream.call.write(Buffer.from([0x0a, 0xff])), code: status.INTERNAL },
    { what: "a request above 4 MB", send: (stream: Stream) => stream.send({ node: { id: "a".repeat(4_200_000) } }), code: status.RESOURCE_EXHAUSTED },
  ])("ends a stream with $what, and no other", async ({ send, code }) => {
    const { server, client } = await start();
    server.publish(snapshotOf({ a: CLUSTERS }));
    const good = await upToDate(client, "a");
    const bad = new Stream(client);
    send(bad);
    expect((await bad.ended).code).toBe(code);
    server.publish(snapshotOf({ a: [...CLUSTERS, testResource("cluster", "late")] }, 2));
    expect(names(await good.next())).toEqual(["late"]);
  });

  it("ends the oldest streams of a proxy that opens too many", async () => {
    const { server, client } = await start();
    server.publish(snapshotOf({ a: CLUSTERS }));
    const streams: Stream[] = [];
    for (let count = 0; count < 6; count++) streams.push(await upToDate(client, "a"));
    expect((await streams[1]?.ended)?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(server.sent()).toHaveLength(4);
    expect(server.state()).toMatchObject([{ proxyId: "a", connected: true }]);
  });

  it("hears of dead filters from the metrics service on the same port", async () => {
    const { client, heard } = await start();
    expect(await report(client, reportOf("a", FILTER_DEATHS, 1))).toBeNull();
    expect(await report(client, reportOf("a", FILTER_DEATHS, 1))).toBeNull();
    expect(await report(client, reportOf("b", "server.uptime", 1))).toBeNull();
    expect(heard.deaths).toEqual(["a 1"]);
  });

  it.each([
    ["do not say whose they are", reportOf(undefined, FILTER_DEATHS, 1)],
    ["are none", Buffer.from([0xff, 0xff])],
  ])("refuses reports that %s", async (_, bytes) => {
    const { client, heard } = await start();
    expect((await report(client, bytes))?.code).toBe(status.INVALID_ARGUMENT);
    expect(heard.deaths).toEqual([]);
  });

  it("rejects a port that is taken", async () => {
    const { server } = await start();
    await expect(start({ port: server.port })).rejects.toThrow();
  });
});
