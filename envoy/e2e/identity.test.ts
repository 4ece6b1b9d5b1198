// Identity on real Envoys: who may call whom, and who gets whose key. Control plane, authority, tokens and mutual TLS as in service.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { loadAuthority } from "../../control-plane/ca/authority-file.ts";
import { createRoot, issueLeaf, type Leaf } from "../../control-plane/ca/certificates.ts";
import { authorityPath } from "../../control-plane/ca/paths.ts";
import { issuerOf } from "../../control-plane/ca/rotation.ts";
import { get, until } from "./dynamic-envoy.ts";
import { type CallerAndServer, startCallerAndServer } from "./identified-mesh.ts";

let running: CallerAndServer | undefined;

afterEach(async () => {
  await running?.mesh.close();
  running = undefined;
});

const HOUR_MS = 3_600_000;

/** Shakes hands with the server's Envoy and asks for something; the answer's first line, or the reason why there is none. */
function handshake(port: number, leaf?: Leaf): Promise<string> {
  return new Promise((resolve) => {
    const identity = leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.privateKey.reveal() };
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...identity }, () =>
      socket.write("GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n"),
    );
    socket.once("data", (bytes) => resolve(String(bytes).split("\r\n")[0] ?? ""));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once("close", () => resolve("closed"));
  });
}

describe("identity", () => {
  it("lets a proxy call another by mutual TLS, and gives each its own key", async () => {
    running = await startCallerAndServer();
    const { mesh, callerPort } = running;
    const answer = await get(callerPort);
    expect([answer.status, answer.headers["x-peer"]]).toEqual([200, "spiffe://cluster.local/ns/default/sa/product"]);
    await until(
      "both certificates are in use",
      () => mesh.identity.certificates().filter(({ kind, state }) => kind === "proxy" && state === "in use").length === 2,
    );
    const rows = mesh.identity.certificates();
    expect(rows.map(({ kind, name, subject, generation, state }) => [kind, name, subject, generation, state])).toEqual([
      ["root", "root 1", "O=weft, CN=weft root 1", 1, "issuing"],
      ["control-plane", "control plane", "spiffe://cluster.local/ns/weft-system/sa/weft-control-plane", 1, "in use"],
      ["proxy", "caller-1.default", "spiffe://cluster.local/ns/default/sa/product", 1, "in use"],
      ["proxy", "server-1.default", "spiffe://cluster.local/ns/default/sa/reviews", 1, "in use"],
    ]);
    expect(mesh.log.filter(({ message }) => message === "nack" || message === "refused")).toEqual([]);
    expect(JSON.stringify([mesh.log, mesh.xds.state(), [...mesh.xds.accepted()], rows]) + mesh.envoyLog).not.toContain("PRIVATE KEY");
  });

  it("refuses a server of another service account", async () => {
    running = await startCallerAndServer({ expects: "ratings" });
    expect((await get(running.callerPort)).status).toBe(503);
  });

  it("refuses who has no certificate, one of another authority, of another trust domain, or one that has expired", async () => {
    running = await startCallerAndServer();
    const { mesh, serverPort } = running;
    const kept = await loadAuthority(authorityPath(mesh.folder));
    if (kept === undefined) throw new Error("no authority");
    const own = issuerOf(kept.authority);
    const nowMs = Date.now();
    const uri = "spiffe://cluster.local/ns/default/sa/product";
    const stranger = await createRoot(1, nowMs);
    const leaves = {
      none: undefined,
      ours: await issueLeaf(own, { uri, nowMs, lifetimeMs: HOUR_MS }),
      strangers: await issueLeaf(stranger, { uri, nowMs, lifetimeMs: HOUR_MS }),
      elsewhere: await issueLeaf(own, { uri: "spiffe://other.domain/ns/default/sa/product", nowMs, lifetimeMs: HOUR_MS }),
      expired: await issueLeaf(own, { uri, nowMs: nowMs - 2 * HOUR_MS, lifetimeMs: HOUR_MS }),
    };
    const answers = await Promise.all(Object.entries(leaves).map(async ([name, leaf]) => [name, await handshake(serverPort, leaf)]));
    expect(Object.fromEntries(answers)).toEqual({
      none: expect.stringMatching(/ERR_SSL|ECONNRESET|closed/),
      ours: "HTTP/1.1 200 OK",
      strangers: expect.stringMatching(/ERR_SSL|ECONNRESET|closed/),
      elsewhere: expect.stringMatching(/ERR_SSL|ECONNRESET|closed/),
      expired: expect.stringMatching(/ERR_SSL|ECONNRESET|closed/),
    });
  });

  it("sends a proxy that reconnects no key that is not due, and traffic goes on without a control plane", async () => {
    running = await startCallerAndServer();
    const { mesh, callerPort } = running;
    await mesh.stopControlPlane();
    expect((await get(callerPort)).status).toBe(200);
    await mesh.startControlPlane();
    await mesh.upToDate();
    await until("both proxies have said what they hold", () => mesh.identity.certificates().filter(({ kind }) => kind === "proxy").length === 2);
    expect(mesh.identity.certificates().flatMap(({ kind, state }) => (kind === "proxy" ? [state] : []))).toEqual(["held", "held"]);
    expect(mesh.xds.state().map(({ resourcesSent }) => resourcesSent)).toEqual([0, 0]);
    expect((await get(callerPort)).status).toBe(200);
  });

  it("ends a stream with its token, and the proxy comes back with the renewed one", async () => {
    running = await startCallerAndServer({ tokenLifetimeMs: 3_000 });
    const { mesh, callerPort } = running;
    const connects = () => mesh.log.filter(({ message }) => message === "proxy connected").length;
    const before = connects();
    await until("every proxy has reconnected twice", () => connects() >= before + 4, 30_000);
    expect(mesh.log.filter(({ message }) => message === "refused")).toEqual([]);
    expect((await get(callerPort)).status).toBe(200);
    expect(await readFile(join(mesh.folder, "tokens", "caller-1.default.json"), "utf8")).toContain("Bearer ");
  });
});
