// Floods against a control plane in a process of its own: who is let in is served afterwards as before, the log has said it in a few lines, and memory is flat.
import { type ChildProcess, fork } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { authorityPath, rootsPath, tokenKeyPath } from "../../control-plane/ca/paths.ts";
import { loadTokenKey, mintToken } from "../../control-plane/ca/token.ts";
import { DeltaDiscoveryRequestSchema } from "../../control-plane/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { ControlPlaneMessage, RunnerMessage } from "../../control-plane/local/protocol.ts";
import { TYPE_URLS } from "../../control-plane/snapshot/type-urls.ts";
import { AGGREGATED_DISCOVERY_SERVICE } from "../../control-plane/xds/server.ts";
import { until } from "./dynamic-envoy.ts";
import { proxyNamed } from "./identified-mesh.ts";

const MAIN = fileURLToPath(new URL("../../control-plane/main.ts", import.meta.url));
const PATH = AGGREGATED_DISCOVERY_SERVICE.DeltaAggregatedResources.path;
const passBytes = (bytes: Buffer) => bytes;
const STREAMS = 10_000;
const STREAMS_PER_CLIENT = 100;
const HUGE_BYTES = 100 * 1024 * 1024;
/** A proxy waits no longer for its first answer. */
const SERVED_MS = 10_000;
/** A heap that is collected when it pleases goes up and down by this much. */
const FLAT_MB = 120;

let folder = "";
let child: ChildProcess;
let ports: Extract<ControlPlaneMessage, { kind: "listening" }>;
let roots = "";
let token = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-attacks-"));
  const [yaml, identity] = [join(folder, "yaml"), join(folder, "identity")];
  await mkdir(yaml);
  const args = ["--folder", yaml, "--last-good", join(folder, "last-good.json"), "--identity", identity, "--log", join(folder, "control-plane.log")];
  child = fork(MAIN, args, { execArgv: ["--import", import.meta.resolve("tsx")], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  ports = await new Promise((resolve) => {
    child.on("message", (message: ControlPlaneMessage) => {
      if (message.kind === "listening") resolve(message);
    });
  });
  const place = { address: "127.0.0.1", port: 1 };
  const proxy = { ...proxyNamed("web-1", "web"), inbound: [{ containerPort: 80, listen: place, application: place }] };
  const running: RunnerMessage = { kind: "running", sequence: 1, instances: [], proxies: [proxy] };
  child.send(running);
  roots = JSON.parse(await readFile(rootsPath(identity), "utf8")).resources[0].validation_context.trusted_ca.inline_string;
  const nowMs = Date.now();
  const claims = { namespace: "default", serviceAccount: "web", proxyId: "web-1", issuedAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 };
  token = (await mintToken(await loadTokenKey(tokenKeyPath(identity)), claims)).reveal();
});

afterAll(async () => {
  if (child.exitCode === null) {
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  }
  await rm(folder, { recursive: true, force: true });
});

function newClient(): Client {
  return new Client(`127.0.0.1:${ports.xdsPort}`, credentials.createSsl(Buffer.from(roots)), { "grpc.use_local_subchannel_pool": 1 });
}

function openStream(client: Client, withToken: boolean): ClientDuplexStream<Buffer, Buffer> {
  const metadata = new Metadata();
  if (withToken) metadata.set("authorization", `Bearer ${token}`);
  const call = client.makeBidiStreamRequest(PATH, passBytes, passBytes, metadata);
  call.on("error", () => undefined);
  call.on("data", () => undefined);
  return call;
}

function requestOf(nodeId: string): Buffer {
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node: { id: nodeId }, typeUrl: TYPE_URLS.cluster })));
}

async function memoryMb(): Promise<number> {
  return (Number((await readFile(`/proc/${child.pid}/statm`, "utf8")).split(" ")[1]) * 4_096) / 2 ** 20;
}

/** A proxy that is let in gets its clusters. */
async function isServed(): Promise<boolean> {
  const client = newClient();
  const call = openStream(client, true);
  call.write(requestOf("web-1"));
  const served = await Promise.race([
    new Promise<boolean>((resolve) => call.once("data", () => resolve(true))),
    new Promise<boolean>((resolve) => call.once("error", () => resolve(false))),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), SERVED_MS)),
  ]);
  client.close();
  return served;
}

async function refusedLines(): Promise<readonly string[]> {
  const text = await readFile(join(folder, "control-plane.log"), "utf8");
  return text.split("\n").filter((line) => line.includes('"msg":"refused"'));
}

/** Attacks once to warm up, then again: what it holds on to would be held twice. */
async function staysFlat(attack: () => Promise<void>): Promise<void> {
  await attack();
  const before = await memoryMb();
  await attack();
  await until("memory is flat", async () => (await memoryMb()) - before < FLAT_MB, 60_000);
  await until("a proxy is served", isServed, 30_000);
}

async function flood(withToken: boolean, onStream: (call: ClientDuplexStream<Buffer, Buffer>) => void): Promise<void> {
  const clients = Array.from({ length: STREAMS / STREAMS_PER_CLIENT }, newClient);
  try {
    for (const client of clients) {
      const calls = Array.from({ length: STREAMS_PER_CLIENT }, () => openStream(client, withToken));
      for (const call of calls) onStream(call);
      await Promise.race([...calls.map((call) => new Promise((resolve) => call.once("error", resolve))), new Promise((resolve) => setTimeout(resolve, 2_000))]);
    }
  } finally {
    for (const client of clients) client.close();
  }
}

async function sendHuge(withToken: boolean): Promise<status> {
  const client = newClient();
  const call = openStream(client, withToken);
  const ended = new Promise<status>((resolve) => call.once("error", (error: Error & { code?: status }) => resolve(error.code ?? status.OK)));
  call.write(requestOf("a".repeat(HUGE_BYTES)));
  const code = await ended;
  client.close();
  return code;
}

describe.runIf(process.platform === "linux")("a control plane under attack", () => {
  it("refuses 10,000 streams without a token", async () => {
    await staysFlat(() => flood(false, () => undefined));
    expect((await refusedLines()).filter((line) => line.includes("no-token")).length).toBeLessThan(10);
  }, 300_000);

  it("keeps a few of 10,000 streams of one token", async () => {
    await staysFlat(() => flood(true, (call) => call.write(requestOf("web-1"))));
    expect((await refusedLines()).filter((line) => line.includes("too-many-streams")).length).toBeLessThan(10);
  }, 300_000);

  it("does not take in messages of 100 MB", async () => {
    await staysFlat(async () => {
      expect([await sendHuge(false), await sendHuge(true)]).toEqual([status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED]);
    });
  }, 300_000);

  it.each([
    { what: "the xDS port", port: () => ports.xdsPort, text: "" },
    { what: "the admin API", port: () => ports.adminPort, text: "GET /proxies HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: " },
  ])(
    "closes connections to $what that never finish",
    async ({ port, text }) => {
      const sockets: Socket[] = Array.from({ length: 500 }, () =>
        connect(port(), "127.0.0.1", function (this: Socket) {
          this.write(text);
        }),
      );
      const closed = sockets.map(
        (socket) =>
          new Promise((resolve) =>
            socket
              .on("error", () => undefined)
              .resume()
              .once("close", resolve),
          ),
      );
      await Promise.all(closed);
      expect(await isServed()).toBe(true);
    },
    120_000,
  );

  it("has written no key into its log, and keeps keys where only their owner reads", async () => {
    const kept = await readFile(authorityPath(join(folder, "identity")), "utf8");
    const key = JSON.parse(kept).authority.issuers[0].privateKey.split("\n")[1];
    for (const file of await readdir(folder, { recursive: true })) {
      if (file.startsWith("identity") || file === "yaml") continue;
      const text = await readFile(join(folder, file), "utf8");
      expect([file, text.includes(key), text.includes("PRIVATE KEY"), text.includes(token)]).toEqual([file, false, false, false]);
    }
  });
});
