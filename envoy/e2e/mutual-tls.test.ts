// Mutual TLS between real Envoys as PeerAuthentications and DestinationRules ask for it: who is served, who is refused, and who is said to have called.
import { createServer, type Server } from "node:http";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadAuthority } from "../../control-plane/ca/authority-file.ts";
import { createRoot, type Issuer, issueLeaf } from "../../control-plane/ca/certificates.ts";
import { authorityPath } from "../../control-plane/ca/paths.ts";
import { issuerOf } from "../../control-plane/ca/rotation.ts";
import type { ListenAddress } from "../../control-plane/mesh/instance.ts";
import { deployment, sidecar } from "../../control-plane/test/mesh-of.ts";
import { askRaw, echo, type SecuredMesh, startSecuredMesh } from "./secured-mesh.ts";

const service = (name: string, port: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [${port}]}`;

const peer = (spec: string, metadata = "name: default"): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {${metadata}}
spec: ${spec}`;

const rule = (tls: string, host = "web"): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}}
spec: {host: ${host}, trafficPolicy: {tls: ${tls}}}`;

const only = (source: string): string => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, rules: [{from: [{source: ${source}}]}]}`;

const MESH_WIDE = "name: default, namespace: weft-system";
const ZONE = "ap-northeast-2a";
const BASE = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: web}}]}]}
${service("web", "{name: http, port: 80, targetPort: 8080}")}
${service("bytes", "{name: tcp, port: 7070}")}
${service("legacy", "{name: http, port: 9000}")}
${service("shop", "{name: http, port: 9090}")}
${service("visitor", "{name: http, port: 9090}")}
${deployment("web", "app: web", ZONE, 1, 8080)}
${deployment("bytes", "app: bytes", ZONE, 1, 7070)}
${deployment("legacy", "app: legacy", ZONE, 1, 9000)}
${deployment("shop", "app: shop", ZONE)}
${deployment("visitor", "app: visitor", ZONE)}
`;

const SHOP = "URI=spiffe://cluster.local/ns/default/sa/shop";

let secured: SecuredMesh;
let legacy: Server;

beforeAll(async () => {
  secured = await startSecuredMesh(BASE, 80 + (process.pid % 50), {
    identities: true,
    change: (instance) => ({ ...instance, serviceAccount: instance.workload, hasSidecar: instance.workload !== "legacy" }),
  });
  const instance = secured.mesh.instances.find(({ workload }) => workload === "legacy");
  legacy = createServer(echo);
  await new Promise<void>((resolve) => legacy.listen(9000, instance?.address, resolve));
});

afterAll(async () => {
  await secured?.close();
  legacy?.closeAllConnections();
  legacy?.close();
});

/** Where the program of a workload calls a service. */
function outbound(from: string, name: string): ListenAddress {
  const found = sidecar(secured.mesh, from).outbound.find(({ hostname }) => hostname.startsWith(`${name}.`));
  if (found === undefined) throw new Error(`${from} does not call ${name}`);
  return found.listen;
}

/** Serves other YAML. A connection that was kept open still gets one answer under the former policies, and is closed with it. */
async function serve(yaml: string): Promise<void> {
  await secured.edit(yaml);
  for (const to of [outbound("shop", "web"), outbound("visitor", "web"), secured.gateway(80)]) await askRaw(to, "/");
}

/** The status, and what the program saw of the caller's certificate. */
async function call(to: ListenAddress, headers: readonly string[] = []): Promise<readonly [status: number, certificate: unknown]> {
  const { status, body } = await askRaw(to, "/", headers);
  return [status, status === 200 ? (JSON.parse(body).headers["x-forwarded-client-cert"] ?? "plain") : undefined];
}

const refused = expect.objectContaining({ message: expect.stringMatching(/ended|ECONNRESET/) });
const anyOf = (from: string) => call(outbound(from, "web"));
const direct = () => call(secured.inbound("web"));

describe("without a policy", () => {
  beforeAll(() => serve(BASE));

  it("calls by mutual TLS, and the program is told who called", async () => {
    const [status, certificate] = await anyOf("shop");
    expect([status, certificate]).toEqual([200, expect.stringContaining(SHOP)]);
    expect(certificate).toContain("By=spiffe://cluster.local/ns/default/sa/web;");
  });

  it("serves who calls in plain text on the same port", async () => {
    expect(await direct()).toEqual([200, "plain"]);
  });

  it("believes neither a program nor a stranger who say themselves who they are", async () => {
    const forged = ["x-forwarded-client-cert: By=spiffe://cluster.local/ns/default/sa/web;URI=spiffe://cluster.local/ns/default/sa/admin"];
    expect(await call(secured.inbound("web"), forged)).toEqual([200, "plain"]);
    const [, certificate] = await call(outbound("shop", "web"), forged);
    expect(certificate).toContain(SHOP);
    expect(certificate).not.toContain("admin");
  });

  it("calls what has no sidecar in plain text", async () => {
    expect(await call(outbound("shop", "legacy"))).toEqual([200, "plain"]);
  });

  it("carries connections that are no requests", async () => {
    expect((await askRaw(outbound("shop", "bytes"), "/")).status).toBe(200);
    expect((await askRaw(secured.inbound("bytes"), "/")).status).toBe(200);
  });

  it("lets a gateway call with its own identity", async () => {
    expect(await call(secured.gateway(80))).toEqual([200, expect.stringContaining("/ns/weft-system/sa/")]);
  });
});

describe("STRICT", () => {
  it.each([
    ["of the mesh", peer("{mtls: {mode: STRICT}}", MESH_WIDE)],
    ["of a namespace, over the mesh's", peer("{mtls: {mode: DISABLE}}", MESH_WIDE) + peer("{mtls: {mode: STRICT}}")],
    ["of a workload, over its namespace's", peer("{mtls: {mode: DISABLE}}") + peer("{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}", "name: web")],
    [
      "of a port, over its workload's",
      peer("{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}, portLevelMtls: {8080: {mode: STRICT}}}", "name: web"),
    ],
  ])("%s refuses plain text and serves the mesh", async (_, policies) => {
    await serve(BASE + policies);
    await expect(direct()).rejects.toEqual(refused);
    expect(await anyOf("shop")).toEqual([200, expect.stringContaining(SHOP)]);
    expect((await call(secured.gateway(80)))[0]).toBe(200);
  });

  it("holds for connections that are no requests", async () => {
    await serve(BASE + peer("{mtls: {mode: STRICT}}", MESH_WIDE));
    await expect(askRaw(secured.inbound("bytes"), "/")).rejects.toEqual(refused);
    expect((await askRaw(outbound("shop", "bytes"), "/")).status).toBe(200);
  });

  it("refuses a certificate of another authority, an expired one, one of another trust domain, and none", async () => {
    await serve(BASE + peer("{mtls: {mode: STRICT}}", MESH_WIDE));
    const kept = await loadAuthority(authorityPath(secured.served.identityFolder));
    if (kept === undefined) throw new Error("there is no authority");
    const [ours, strangers] = [issuerOf(kept.authority), await createRoot(1, Date.now())];
    const uri = "spiffe://cluster.local/ns/default/sa/shop";
    expect(await handshake(ours, uri, 0)).toBe("HTTP/1.1 200 OK");
    expect(await handshake(strangers, uri, 0)).toMatch(REFUSED);
    expect(await handshake(ours, uri, 2 * HOUR_MS)).toMatch(REFUSED);
    expect(await handshake(ours, "spiffe://elsewhere/ns/default/sa/shop", 0)).toMatch(REFUSED);
    expect(await handshake(undefined, uri, 0)).toMatch(REFUSED);
  });
});

describe("PERMISSIVE", () => {
  it("refuses a false certificate too, where it would serve without any", async () => {
    await serve(BASE);
    expect(await handshake(await createRoot(1, Date.now()), "spiffe://cluster.local/ns/default/sa/shop", 0)).toMatch(REFUSED);
  });
});

describe("DISABLE", () => {
  it.each([
    ["of a workload", peer("{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}", "name: web")],
    ["of a port", peer("{mtls: {mode: STRICT}}") + peer("{selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}}}", "name: web")],
  ])("%s has the mesh call in plain text", async (_, policies) => {
    await serve(BASE + policies);
    expect(await anyOf("shop")).toEqual([200, "plain"]);
    expect(await direct()).toEqual([200, "plain"]);
  });
});

describe("a DestinationRule", () => {
  it("that says DISABLE has its hosts called in plain text, which STRICT refuses", async () => {
    await serve(BASE + rule("{mode: DISABLE}"));
    expect(await anyOf("shop")).toEqual([200, "plain"]);
    await serve(BASE + rule("{mode: DISABLE}") + peer("{mtls: {mode: STRICT}}"));
    expect((await anyOf("shop"))[0]).toBe(503);
  });

  it("that says ISTIO_MUTUAL calls by mutual TLS whoever is there", async () => {
    await serve(BASE + rule("{mode: ISTIO_MUTUAL}") + rule("{mode: ISTIO_MUTUAL}", "legacy"));
    expect(await anyOf("shop")).toEqual([200, expect.stringContaining(SHOP)]);
    expect((await call(outbound("shop", "legacy")))[0]).toBe(503);
  });

  it("refuses a server of another service account than it names", async () => {
    const named = (account: string) => rule(`{mode: ISTIO_MUTUAL, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/${account}"]}`);
    await serve(BASE + named("web"));
    expect((await anyOf("shop"))[0]).toBe(200);
    await serve(BASE + named("orders"));
    expect((await anyOf("shop"))[0]).toBe(503);
  });

  it("that says SIMPLE opens no connection to a sidecar that speaks mutual TLS alone", async () => {
    await serve(BASE + rule("{mode: SIMPLE, insecureSkipVerify: true}") + peer("{mtls: {mode: STRICT}}"));
    expect((await anyOf("shop"))[0]).toBe(503);
  });
});

describe("an AuthorizationPolicy", () => {
  it.each([
    ["principals", "{principals: [cluster.local/ns/default/sa/shop]}"],
    ["service accounts", "{serviceAccounts: [shop]}"],
    ["who is not named", "{notPrincipals: [cluster.local/ns/default/sa/visitor], namespaces: [default]}"],
  ])("knows callers by %s of their certificates", async (_, source) => {
    await serve(BASE + only(source));
    expect((await anyOf("shop"))[0]).toBe(200);
    expect((await anyOf("visitor"))[0]).toBe(403);
    expect((await direct())[0]).toBe(403);
  });

  it("knows them by namespace", async () => {
    await serve(BASE + only("{namespaces: [weft-system]}"));
    expect((await call(secured.gateway(80)))[0]).toBe(200);
    expect((await anyOf("shop"))[0]).toBe(403);
  });
});

const HOUR_MS = 3_600_000;
const REFUSED = /ERR_SSL|ECONNRESET|closed/;

/** Speaks to the sidecar of web as a proxy of the mesh does, with a certificate for an hour that was issued some time ago: the answer's first line, or why there is none. */
async function handshake(issuer: Issuer | undefined, uri: string, agoMs: number): Promise<string> {
  const leaf = issuer === undefined ? undefined : await issueLeaf(issuer, { uri, nowMs: Date.now() - agoMs, lifetimeMs: HOUR_MS });
  const identity = leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.privateKey.reveal() };
  const { address, port } = secured.inbound("web");
  return new Promise((resolve) => {
    const socket = connectTls({ host: address, port, rejectUnauthorized: false, ALPNProtocols: ["istio", "http/1.1"], ...identity }, () =>
      socket.write("GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n"),
    );
    socket.once("data", (bytes) => resolve(String(bytes).split("\r\n")[0] ?? ""));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once("close", () => resolve("closed"));
  });
}
