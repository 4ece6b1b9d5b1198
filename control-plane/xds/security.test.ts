// Attacks on the xDS port, over real TLS and real tokens: each is refused with a reason, said once, and leaves nothing behind.
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { SignJWT, UnsecuredJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createRoot, issueLeaf, type Leaf } from "../ca/certificates.ts";
import { CONTROL_PLANE_NAME } from "../ca/control-plane-name.ts";
import { createTokenVerifier, loadTokenKey, mintToken, type TokenClaims, type TokenKey } from "../ca/token.ts";
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { EMPTY_QUARANTINE } from "../snapshot/quarantine.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import { FILTER_DEATHS } from "../translate/filter-deaths.ts";
import { systemClock } from "./clock.ts";
import { testResource } from "./fake-envoy.ts";
import { METRICS_SERVICE } from "./metrics-service.ts";
import { reportOf } from "./reported-metrics.ts";
import { AGGREGATED_DISCOVERY_SERVICE, startXdsServer, type XdsServer, type XdsServerOptions } from "./server.ts";

const PATH = AGGREGATED_DISCOVERY_SERVICE.DeltaAggregatedResources.path;
const passBytes = (bytes: Buffer) => bytes;
const HOUR_MS = 3_600_000;
const LOOPBACK = { host: "127.0.0.1", clock: systemClock, onState: () => undefined, onNack: () => undefined };

let folder = "";
let key: TokenKey;
let rootPem = "";
let certificate: Leaf;
let logged: { readonly fields: Record<string, unknown>; readonly message: string }[] = [];
let closing: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-security-"));
  key = await loadTokenKey(join(folder, "token-key.json"));
  const root = await createRoot(1, Date.now());
  rootPem = root.rootsPem.join("");
  const request = { uri: "spiffe://cluster.local/ns/weft-system/sa/weft-control-plane", dnsNames: [CONTROL_PLANE_NAME], addresses: ["127.0.0.1"] };
  certificate = await issueLeaf(root, { ...request, nowMs: Date.now(), lifetimeMs: HOUR_MS });
});

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
  logged = [];
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const refusals = (): readonly string[] => logged.flatMap(({ message, fields }) => (message === "refused" ? [String(fields.reason)] : []));

async function start(options: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
  const log = (fields: object, message: string): void => void logged.push({ fields: { ...fields }, message });
  const server = await startXdsServer({
    ...LOOPBACK,
    port: 0,
    logger: { info: log, warn: log, error: log },
    security: { certificate, authenticate: createTokenVerifier(key, Date.now) },
    identityOf: (proxyId) => (proxyId.startsWith("web") ? { namespace: "default", serviceAccount: "web" } : { namespace: "default", serviceAccount: "api" }),
    ...options,
  });
  closing.push(() => server.close());
  const proxies = new Map(["web-1", "api-1"].map((proxyId) => [proxyId, { proxyId, resources: [testResource("cluster", `${proxyId}-cluster`)] }]));
  server.publish(buildSnapshot({ translation: { proxies, diagnostics: [] }, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision: 1 }));
  return server;
}

function clientOf(server: XdsServer): Client {
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(rootPem)));
  closing.push(() => client.close());
  return client;
}

function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

async function token(claims: Partial<TokenClaims> = {}, by: TokenKey = key): Promise<string> {
  const nowMs = Date.now();
  const usual = { namespace: "default", serviceAccount: "web", proxyId: "web-1", issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS };
  return (await mintToken(by, { ...usual, ...claims })).reveal();
}

interface Stream {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  readonly ended: Promise<ServiceError>;
  readonly first: Promise<DeltaDiscoveryResponse>;
}

function open(client: Client, withToken: string | undefined, nodeId = "web-1", fields: object = {}): Stream {
  const call = client.makeBidiStreamRequest(PATH, passBytes, passBytes, bearer(withToken));
  call.on("error", () => undefined);
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  const first = new Promise<DeltaDiscoveryResponse>((resolve) =>
    call.once("data", (bytes: Buffer) => resolve(fromBinary(DeltaDiscoveryResponseSchema, bytes))),
  );
  send(call, { node: { id: nodeId }, typeUrl: TYPE_URLS.cluster, ...fields });
  return { call, ended, first };
}

function send(call: ClientDuplexStream<Buffer, Buffer>, fields: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): void {
  call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields))));
}

async function otherKey(): Promise<TokenKey> {
  return loadTokenKey(join(folder, "other-key.json"));
}

/** A token with this header, signed with the public half of the key as if it were a shared secret. */
async function confused(): Promise<string> {
  const { createPublicKey } = await import("node:crypto");
  const secret = createPublicKey(key.key).export({ format: "pem", type: "spki" });
  return new SignJWT()
    .setProtectedHeader({ alg: "HS256", kid: key.id })
    .setSubject("default/web/web-1")
    .setAudience("weft-xds")
    .setIssuer("weft")
    .setExpirationTime("1h")
    .sign(Buffer.from(secret));
}

function unsigned(): string {
  const jwt = new UnsecuredJWT().setSubject("default/web/web-1").setAudience("weft-xds").setIssuer("weft").setExpirationTime("1h").encode();
  const header = Buffer.from(JSON.stringify({ alg: "none", kid: key.id })).toString("base64url");
  return jwt.replace(/^[^.]+/, header);
}

/** Signed with a key of its own that it brings along. */
async function selfServed(): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicKey.export({ format: "jwk" });
  const header = { alg: "ES256", kid: key.id, jwk: { kty: "EC", ...jwk } };
  return new SignJWT()
    .setProtectedHeader(header)
    .setSubject("default/web/web-1")
    .setAudience("weft-xds")
    .setIssuer("weft")
    .setExpirationTime("1h")
    .sign(privateKey);
}

describe("the xDS port", () => {
  it("serves a proxy with its own token", async () => {
    const client = clientOf(await start());
    const { first } = open(client, await token());
    expect((await first).resources.map(({ name }) => name)).toEqual(["web-1-cluster"]);
    expect(refusals()).toEqual([]);
  });

  it.each([
    { what: "no token", make: () => Promise.resolve(undefined), reason: "no-token" },
    { what: "what is no JWT", make: () => Promise.resolve("secret"), reason: "no-jwt" },
    { what: "an expired token", make: () => token({ expiresAtMs: Date.now() - 1_000 }), reason: "expired" },
    { what: "a token for another audience", make: () => token({ audience: "vault" }), reason: "bad-claims" },
    { what: "a token of another mesh", make: async () => token({}, await otherKey()), reason: "unknown-key" },
    { what: "a token of another key under this mesh's key id", make: async () => token({}, { ...(await otherKey()), id: key.id }), reason: "bad-token" },
    { what: "a token that names no proxy", make: () => token({ proxyId: "" }), reason: "bad-claims" },
    { what: "alg none", make: () => Promise.resolve(unsigned()), reason: "bad-token" },
    { what: "a token signed with the public key as a secret", make: confused, reason: "bad-token" },
    { what: "a token that brings its own key", make: selfServed, reason: "bad-token" },
  ])("refuses $what, and says so once", async ({ make, reason }) => {
    const client = clientOf(await start());
    const made = await make();
    for (let attempt = 0; attempt < 5; attempt++) expect((await open(client, made).ended).code).toBe(status.UNAUTHENTICATED);
    expect(refusals()).toEqual([reason]);
    expect(JSON.stringify(logged)).not.toContain(made ?? "no token was sent");
  });

  it.each([
    { what: "a forged node id", claims: {}, nodeId: "api-1", reason: "forged-node" },
    { what: "a token of another proxy", claims: { serviceAccount: "api", proxyId: "api-1" }, nodeId: "web-1", reason: "forged-node" },
    { what: "a token of another service account", claims: { serviceAccount: "admin" }, nodeId: "web-1", reason: "other-identity" },
    { what: "a token of another namespace", claims: { namespace: "kube-system" }, nodeId: "web-1", reason: "other-identity" },
  ])("refuses $what, and says so once", async ({ claims, nodeId, reason }) => {
    const client = clientOf(await start());
    const made = await token(claims);
    for (let attempt = 0; attempt < 3; attempt++) expect((await open(client, made, nodeId).ended).code).toBe(status.PERMISSION_DENIED);
    expect(refusals()).toEqual([reason]);
  });

  it("tells a proxy that asks for another's secret by name that there is none", async () => {
    const client = clientOf(await start());
    const { call, first } = open(client, await token(), "web-1", {
      typeUrl: TYPE_URLS.secret,
      resourceNamesSubscribe: ["spiffe://cluster.local/ns/default/sa/api", "api-1/default"],
    });
    const { resources, removedResources } = await first;
    expect([resources, [...removedResources].sort()]).toEqual([[], ["api-1/default", "spiffe://cluster.local/ns/default/sa/api"]]);
    send(call, { typeUrl: TYPE_URLS.secret, resourceNamesSubscribe: ["api-1/key"] });
    await expect.poll(refusals).toEqual(["foreign-secret"]);
  });

  it("refuses reports of statistics in another's name", async () => {
    const deaths: string[] = [];
    const client = clientOf(await start({ onFilterDead: (proxyId) => deaths.push(proxyId) }));
    const report = (withToken: string | undefined): Promise<ServiceError | null> =>
      new Promise((resolve) =>
        client.makeUnaryRequest(METRICS_SERVICE.Export.path, passBytes, passBytes, reportOf("api-1", FILTER_DEATHS, 1), bearer(withToken), resolve),
      );
    expect((await report(undefined))?.code).toBe(status.UNAUTHENTICATED);
    expect((await report(await token()))?.code).toBe(status.PERMISSION_DENIED);
    expect([deaths, refusals()]).toEqual([[], ["no-token", "forged-node"]]);
  });

  it("has a token of reports proved once, until it ends; another one again", async () => {
    const verify = createTokenVerifier(key, Date.now);
    let proofs = 0;
    const authenticate: typeof verify = (authorization) => {
      proofs += 1;
      return verify(authorization);
    };
    const client = clientOf(await start({ security: { certificate, authenticate } }));
    const report = (withToken: string): Promise<ServiceError | null> =>
      new Promise((resolve) =>
        client.makeUnaryRequest(METRICS_SERVICE.Export.path, passBytes, passBytes, reportOf("web-1", FILTER_DEATHS, 1), bearer(withToken), resolve),
      );
    const expiresAtMs = Math.ceil(Date.now() / 1_000) * 1_000 + 1_000;
    const [first, short] = [await token(), await token({ expiresAtMs })];
    for (const made of [first, first, first, short]) expect(await report(made)).toBeNull();
    expect(proofs).toBe(2);
    await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(expiresAtMs + 100);
    expect((await report(short))?.code).toBe(status.UNAUTHENTICATED);
    expect(proofs).toBe(3);
  });

  it("closes a stream when its token expires, and not later", async () => {
    const client = clientOf(await start());
    const expiresAtMs = Math.ceil(Date.now() / 1_000) * 1_000 + 1_000;
    const { call, first } = open(client, await token({ expiresAtMs }));
    await first;
    const ended = await new Promise<{ code: status }>((resolve) => call.once("status", resolve));
    expect(ended.code).toBe(status.OK);
    expect(Date.now()).toBeLessThanOrEqual(expiresAtMs + 1_000);
  });

  it("keeps few streams of one token, however many are opened, and none of those without", async () => {
    const server = await start();
    const client = clientOf(server);
    const made = await token();
    const opened = Array.from({ length: 90 }, () => client.makeBidiStreamRequest(PATH, passBytes, passBytes, bearer(made)));
    for (const call of opened) call.on("error", () => undefined);
    await expect.poll(() => logged.filter(({ message }) => message === "refused").length).toBe(1);
    await expect.poll(() => server.sent().length).toBeLessThanOrEqual(8);
    expect(refusals()).toEqual(["too-many-streams"]);
    const strangers = Array.from({ length: 90 }, () => open(client, undefined).ended);
    expect(new Set((await Promise.all(strangers)).map(({ code }) => code))).toEqual(new Set([status.UNAUTHENTICATED]));
    expect(server.sent().length).toBeLessThanOrEqual(8);
  });

  // The slow suite sends 100 MB.
  it("does not read a message that is too large, whoever sends it", async () => {
    const server = await start();
    const client = clientOf(server);
    const huge = "a".repeat(8 * 1024 * 1024);
    expect((await open(client, undefined, huge).ended).code).toBe(status.UNAUTHENTICATED);
    for (let attempt = 0; attempt < 3; attempt++) expect((await open(client, await token(), huge).ended).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(server.sent()).toEqual([]);
    expect(refusals()).toEqual(["no-token", "message-too-large"]);
  });

  it("speaks TLS 1.3 alone, and proves itself by a name that no workload has", async () => {
    const { port } = await start();
    const refused = await new Promise((resolve) => connectTls({ host: "127.0.0.1", port, ca: rootPem, maxVersion: "TLSv1.2" }).once("error", resolve));
    expect(refused).toBeInstanceOf(Error);
    const socket = connectTls({ host: "127.0.0.1", port, ca: rootPem, servername: CONTROL_PLANE_NAME, ALPNProtocols: ["h2"] });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    expect(new X509Certificate(socket.getPeerCertificate().raw).checkHost(CONTROL_PLANE_NAME)).toBe(CONTROL_PLANE_NAME);
    socket.destroy();
  });

  it("proves itself by a renewed certificate to connections from then on", async () => {
    const server = await start();
    const first = open(clientOf(server), await token());
    await first.first;
    const root = await createRoot(2, Date.now());
    server.replaceCertificate(await issueLeaf(root, { uri: "spiffe://a/ns/b/sa/c", addresses: ["127.0.0.1"], nowMs: Date.now(), lifetimeMs: HOUR_MS }));
    const late = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(root.rootsPem.join(""))), { "grpc.use_local_subchannel_pool": 1 });
    closing.push(() => late.close());
    expect((await open(late, await token()).first).resources).toHaveLength(1);
    expect(first.call.closed).toBe(false);
  });

  it("listens without security only if asked to, and on loopback", async () => {
    const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
    await expect(startXdsServer({ ...LOOPBACK, port: 0, logger })).rejects.toThrow(/only if asked to/);
    await expect(startXdsServer({ ...LOOPBACK, host: "0.0.0.0", port: 0, plaintext: true, logger })).rejects.toThrow(/on loopback/);
  });
});
