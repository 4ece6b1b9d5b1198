// Floods against a control plane in a process of its own: who is let in is served afterwards as before, the log has said it in a few lines, and memory is flat.
import { type ChildProcess, fork } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
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
import { aliasBomb } from "../../control-plane/test/alias-bomb.ts";
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

const isOnceOrTwice = (times: number): boolean => times === 1 || times === 2;

/** How often the log says a refusal of this reason. Twice: the attack is made twice, and may take more than the minute for which it is quiet. */
async function saidOf(reason: string): Promise<number> {
  return (await refusedLines()).filter((line) => line.includes(`"reason":"${reason}"`)).length;
}

/** One request to the admin API as a page of another origin makes it, or one whose name was pointed at loopback. */
function askAdmin(headers: Readonly<Record<string, string>>, method = "GET"): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port: ports.adminPort, path: "/proxies", method, headers, agent: false }, (incoming) =>
      incoming.resume().once("end", () => resolve(incoming.statusCode ?? 0)),
    );
    outgoing.once("error", reject).end();
  });
}

/** Opens many streams one after the other that must each end with this status. */
async function refusedStreams(count: number, nodeId: string, bearer: string, code: status): Promise<void> {
  const client = newClient();
  for (let sent = 0; sent < count; sent += STREAMS_PER_CLIENT) {
    const ends = Array.from({ length: STREAMS_PER_CLIENT }, () => {
      const metadata = new Metadata();
      metadata.set("authorization", `Bearer ${bearer}`);
      const call = client.makeBidiStreamRequest(PATH, passBytes, passBytes, metadata);
      const ended = new Promise<status | undefined>((resolve) => call.once("error", (error: Error & { readonly code?: status }) => resolve(error.code)));
      call.on("data", () => undefined).write(requestOf(nodeId));
      return ended;
    });
    expect(new Set(await Promise.all(ends))).toEqual(new Set([code]));
  }
  client.close();
}

/** Connections that begin a request and never finish it. Resolves when the server has closed them all. */
async function dawdle(port: number, text: string): Promise<void> {
  const closed = Array.from(
    { length: 500 },
    () =>
      new Promise<void>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => socket.write(text));
        socket
          .on("error", () => undefined)
          .resume()
          .once("close", () => resolve());
      }),
  );
  await Promise.all(closed);
}

describe.runIf(process.platform === "linux")("a control plane under attack", () => {
  it("refuses 10,000 streams without a token", async () => {
    await staysFlat(() => flood(false, () => undefined));
    expect(await saidOf("no-token")).toBeLessThan(10);
  }, 300_000);

  it("keeps a few of 10,000 streams of one token", async () => {
    await staysFlat(() => flood(true, (call) => call.write(requestOf("web-1"))));
    expect(await saidOf("too-many-streams")).toBeLessThan(10);
  }, 300_000);

  it("does not take in messages of 100 MB", async () => {
    await staysFlat(async () => {
      expect([await sendHuge(false), await sendHuge(true)]).toEqual([status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED]);
    });
    expect(await saidOf("message-too-large")).toSatisfy(isOnceOrTwice);
  }, 300_000);

  it("refuses node ids of others, expired tokens and tokens for others, thousands of them", async () => {
    const nowMs = Date.now();
    const usual = { namespace: "default", serviceAccount: "web", proxyId: "web-1", issuedAtMs: nowMs - 7_200_000, expiresAtMs: nowMs + 3_600_000 };
    const key = await loadTokenKey(tokenKeyPath(join(folder, "identity")));
    const expired = (await mintToken(key, { ...usual, expiresAtMs: nowMs - 1_000 })).reveal();
    const foreign = (await mintToken(key, { ...usual, audience: "vault" })).reveal();
    await staysFlat(async () => {
      await refusedStreams(1_000, "api-1", token, status.PERMISSION_DENIED);
      await refusedStreams(1_000, "web-1", expired, status.UNAUTHENTICATED);
      await refusedStreams(1_000, "web-1", foreign, status.UNAUTHENTICATED);
    });
    for (const reason of ["forged-node", "expired", "bad-claims"]) expect([reason, await saidOf(reason)]).toEqual([reason, expect.toSatisfy(isOnceOrTwice)]);
  }, 300_000);

  it("answers no page of another origin, and no name that was pointed at loopback", async () => {
    await staysFlat(async () => {
      for (let attempt = 0; attempt < 1_000; attempt++) {
        expect(await askAdmin({ origin: "https://evil.example" })).toBe(403);
        expect(await askAdmin({ host: "rebound.evil.example" })).toBe(403);
        expect(await askAdmin({}, "POST")).toBe(405);
      }
    });
    for (const reason of ["admin-web-page", "admin-foreign-host", "admin-write"])
      expect([reason, await saidOf(reason)]).toEqual([reason, expect.toSatisfy(isOnceOrTwice)]);
  }, 300_000);

  it("sets a file aside that is a bomb, and lives on", async () => {
    const bombs = { "aliases.yaml": aliasBomb(), "deep.yaml": "[".repeat(100_000), "large.yaml": `a: ${"x".repeat(20 * 1024 * 1024)}` };
    let wrong: readonly string[] = [];
    child.on("message", (message: ControlPlaneMessage) => {
      if (message.kind === "diagnostics") wrong = [...new Set(message.diagnostics.map(({ origin }) => origin.file))].sort();
    });
    await staysFlat(async () => {
      for (const [name, text] of Object.entries(bombs)) await writeFile(join(folder, "yaml", name), text);
      await until("all are told of", () => wrong.join() === Object.keys(bombs).join());
      for (const name of Object.keys(bombs)) await rm(join(folder, "yaml", name));
      await until("all is well again", () => wrong.length === 0);
    });
  }, 300_000);

  it.each([
    { what: "the xDS port", port: () => ports.xdsPort, text: "", reason: "nothing-asked" },
    { what: "the admin API", port: () => ports.adminPort, text: "GET /proxies HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ", reason: "admin-slow" },
  ])(
    "closes connections to $what that never finish",
    async ({ port, text, reason }) => {
      await staysFlat(() => dawdle(port(), text));
      expect(await saidOf(reason)).toSatisfy(isOnceOrTwice);
    },
    180_000,
  );

  it("has written no line more for all of that", async () => {
    const text = await readFile(join(folder, "control-plane.log"), "utf8");
    expect(text.split("\n").length).toBeLessThan(200);
  });

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
