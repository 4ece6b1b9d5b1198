// What is not a pod, from a real Envoy: hosts of ServiceEntries in each form, virtual machines, TLS with certificates of our own, and what a Sidecar leaves out.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRoot, type Issuer, issueLeaf } from "../../control-plane/ca/certificates.ts";
import type { ListenAddress, Proxy } from "../../control-plane/mesh/instance.ts";
import { deployment, sidecar } from "../../control-plane/test/mesh-of.ts";
import { wiredMesh } from "../../control-plane/test/wired-mesh.ts";
import { ask, type Reply, type ServedMesh, serveMesh } from "./served-mesh.ts";

const document = (kind: string, name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: ${name}}
spec: ${spec}
`;
const entry = (host: string, port: string, more: string): string =>
  document("ServiceEntry", host.replace("*", "any"), `{hosts: ["${host}"], ports: [${port}], ${more}}`);
const rule = (host: string, policy: string): string => document("DestinationRule", host, `{host: ${host}, trafficPolicy: ${policy}}`);
const indented = (text: string): string => text.trimEnd().replace(/^/gm, "    ");

const servers: (Server | TcpServer)[] = [];
let folder: string;
let served: ServedMesh;
let caller: Proxy;
/** By name of the server. */
const seen = new Map<string, number>();

async function listening(server: Server | TcpServer, path?: string): Promise<number> {
  await new Promise<void>((resolve) => (path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(path, resolve)));
  servers.push(server);
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

const answering = (name: string, status = 200): Server =>
  createServer((incoming, outgoing) => {
    seen.set(name, (seen.get(name) ?? 0) + 1);
    outgoing.writeHead(status).end(`${name} ${incoming.headers.host}`);
  });

/** Answers with the name of the client's certificate. */
async function mutual(root: Issuer, name: string): Promise<Server> {
  const leaf = await issueLeaf(root, { uri: "spiffe://test/server", dnsNames: [name], nowMs: Date.now(), lifetimeMs: 3_600_000 });
  return createHttpsServer(
    { cert: leaf.chainPem, key: leaf.privateKey.reveal(), ca: root.rootsPem[0], requestCert: true, rejectUnauthorized: false },
    (incoming, outgoing) => {
      const { subjectaltname = "nobody" } = incoming.socket instanceof TLSSocket ? incoming.socket.getPeerCertificate() : {};
      outgoing.end(`${name} for ${subjectaltname}`);
    },
  );
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-outside-"));
  const root = await createRoot(1, Date.now());
  const roots = root.rootsPem[0] ?? "";
  const client = await issueLeaf(root, { uri: "spiffe://test/client", dnsNames: [], nowMs: Date.now(), lifetimeMs: 3_600_000 });
  await writeFile(join(folder, "roots.pem"), roots);
  const [secure, plain, second, refusing] = [
    await listening(await mutual(root, "secure.example.com")),
    await listening(answering("plain")),
    await listening(answering("second")),
    await listening(answering("refusing", 429)),
  ];
  await listening(answering("socket"), join(folder, "api.sock"));
  const bytes = await listening(createTcpServer((socket) => socket.once("data", (text) => socket.end(`heard ${text}`))));
  const at = (...endpoints: readonly string[]): string => `resolution: STATIC, endpoints: [${endpoints.join(", ")}]`;
  const here = (port: number, more = ""): string => `{address: 127.0.0.1, ports: {http: ${port}}${more}}`;
  const http = "{number: 80, name: http}";
  const yaml = [
    deployment("caller", "app: caller", "eu-1a").replace(/^\n---/, ""),
    entry("dns.example.com", http, `resolution: DNS, endpoints: [{address: localhost, ports: {http: ${plain}}}]`),
    entry("one.example.com", http, `resolution: DNS_ROUND_ROBIN, endpoints: [{address: localhost, ports: {http: ${plain}}}]`),
    entry("socket.example.com", http, at(`{address: "unix://${folder}/api.sock"}`)),
    entry("weighted.example.com", http, at(here(plain, ", weight: 3"), here(second))),
    rule("weighted.example.com", "{loadBalancer: {simple: ROUND_ROBIN}}"),
    entry("codes.example.com", http, at(here(plain), here(refusing))),
    rule(
      "codes.example.com",
      "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, outlierDetectionHttpErrorCodes: [429], interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}}",
    ),
    entry("*.localhost", `{number: ${plain}, name: http}`, "resolution: DYNAMIC_DNS"),
    entry("bytes.example.com", `{number: 7070, name: tcp, targetPort: ${bytes}}`, at("{address: 127.0.0.1}")),
    rule("bytes.example.com", "{proxyProtocol: {version: V1}}"),
    entry("secure.example.com", http, at(here(secure))),
    rule("secure.example.com", "{tls: {mode: MUTUAL, credentialName: client}}"),
    entry("pinned.example.com", http, at(here(secure))),
    rule("pinned.example.com", `{tls: {mode: SIMPLE, caCertificates: ${folder}/roots.pem, sni: secure.example.com, subjectAltNames: [secure.example.com]}}`),
    entry("stranger.example.com", http, at(here(secure))),
    rule("stranger.example.com", `{tls: {mode: SIMPLE, caCertificates: ${folder}/roots.pem, subjectAltNames: [stranger.example.com]}}`),
    entry("without.example.com", http, at(here(secure))),
    rule("without.example.com", "{tls: {mode: MUTUAL, credentialName: lost}}"),
    entry("unseen.example.com", http, at(here(plain))),
    document("WorkloadEntry", "machine", `{address: 127.0.0.1, labels: {app: machine}, ports: {http: ${plain}}}`),
    document("Sidecar", "default", '{egress: [{hosts: ["./*", "~./unseen.example.com"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}'),
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: machine}\nspec: {selector: {app: machine}, ports: [{name: http, port: 80}]}\n",
    `---\napiVersion: v1\nkind: Service\nmetadata: {name: far}\nspec: {type: ExternalName, externalName: localhost, ports: [{name: http, port: 80, targetPort: ${plain}}]}\n`,
    `---\napiVersion: v1\nkind: Secret\nmetadata: {name: client}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n${indented(client.chainPem)}\n  tls.key: |\n${indented(client.privateKey.reveal())}\n  ca.crt: |\n${indented(roots)}\n`,
  ];
  const mesh = wiredMesh(yaml.join(""), { network: `127.${110 + (process.pid % 20)}`, httpProxy: true });
  expect(mesh.diagnostics.map(({ code }) => code)).toEqual(["WEFT0422"]);
  served = await serveMesh(mesh);
  caller = sidecar(mesh, "caller");
}, 120_000);

afterAll(async () => {
  await served?.close();
  for (const server of servers) server.close();
  await rm(folder, { recursive: true, force: true });
});

const listenerOf = (hostname: string): ListenAddress => {
  const found = caller.outbound.find((listener) => listener.hostname === hostname || listener.hostname === `${hostname}.default.svc.cluster.local`);
  if (found === undefined) throw new Error(`no listener for ${hostname}`);
  return found.listen;
};
const call = (hostname: string): Promise<Reply> => ask(listenerOf(hostname), "/");

describe("hosts outside of the mesh, on Envoy", () => {
  it.each([
    { what: "by DNS", host: "dns.example.com", expected: "plain dns.example.com" },
    { what: "by DNS, one address at a time", host: "one.example.com", expected: "plain one.example.com" },
    { what: "at a socket", host: "socket.example.com", expected: "socket socket.example.com" },
    { what: "that a Service gives another name", host: "far", expected: "plain far" },
    { what: "that a WorkloadEntry puts behind a Service", host: "machine", expected: "plain machine" },
  ])("are reached $what", async ({ host, expected }) => {
    const { status, body } = await call(host);
    expect([status, body.replace(".default.svc.cluster.local", "")]).toEqual([200, expected]);
  });

  it("are found by the names of requests where a wildcard stands for them", async () => {
    const { httpProxy } = caller;
    const port = caller.outbound.find(({ hostname }) => hostname === "*.localhost")?.port;
    if (httpProxy === undefined) throw new Error("no HTTP proxy");
    const { status, body } = await ask(httpProxy, `http://a.localhost:${port}/`);
    expect([status, body]).toEqual([200, `plain a.localhost:${port}`]);
  });

  it("are given requests by the weights of their endpoints", async () => {
    seen.clear();
    for (let request = 0; request < 40; request += 1) await call("weighted.example.com");
    expect(Object.fromEntries(seen)).toEqual({ plain: 30, second: 10 });
  });

  it("are left alone after the codes that a rule calls errors", async () => {
    seen.clear();
    for (let request = 0; request < 30; request += 1) await call("codes.example.com");
    expect(seen.get("refusing")).toBe(3);
    expect(seen.get("plain")).toBe(27);
  });

  it("hear by PROXY protocol where a connection came from", async () => {
    const { address, port } = listenerOf("bytes.example.com");
    const heard = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(port, address, () => socket.write("hello"));
      socket.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      socket.once("close", () => resolve(text)).once("error", reject);
    });
    expect(heard).toMatch(/^heard PROXY TCP4 127\.[\d.]+ 127\.[\d.]+ \d+ \d+\r\n/);
  });
});

describe("TLS to hosts outside of the mesh, on Envoy", () => {
  it.each([
    { what: "with the certificate of a Secret", host: "secure.example.com", expected: [200, "secure.example.com for URI:spiffe://test/client"] },
    { what: "without one, to a server of roots in a file", host: "pinned.example.com", expected: [200, "secure.example.com for nobody"] },
  ])("is spoken $what", async ({ host, expected }) => {
    const { status, body } = await call(host);
    expect([status, body]).toEqual(expected);
  });

  it.each([
    { what: "a server that has another name", host: "stranger.example.com" },
    { what: "at all without the Secret that the rule names", host: "without.example.com" },
  ])("does not reach $what", async ({ host }) => {
    expect((await call(host)).status).toBe(503);
  });

  it("keeps keys out of what translation makes", () => {
    expect(served.refusals).toEqual([]);
    expect(served.log()).not.toContain("PRIVATE KEY");
  });
});

describe("a Sidecar, on Envoy", () => {
  it("lets a program call what it lists, and nothing else", async () => {
    const { httpProxy } = caller;
    if (httpProxy === undefined) throw new Error("no HTTP proxy");
    expect((await ask(httpProxy, "http://dns.example.com/")).status).toBe(200);
    expect((await ask(httpProxy, "http://unseen.example.com/")).status).toBe(502);
    await expect(call("unseen.example.com")).rejects.toThrow(/ECONNREFUSED/);
  });
});
