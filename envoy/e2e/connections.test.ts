// Connections and TLS in real Envoys: TCP by weight, TLS by SNI, HTTPS and mutual TLS at a gateway, CORS, and several VirtualServices for one host.

import { createServer, type Server } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRoot, type Issuer, issueLeaf } from "../../control-plane/ca/certificates.ts";
import type { InboundPort, ListenAddress, Proxy } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { sidecar } from "../../control-plane/test/mesh-of.ts";
import { wiredMesh } from "../../control-plane/test/wired-mesh.ts";
import { ask, type ServedMesh, serveMesh } from "./served-mesh.ts";

interface Pem {
  readonly certificate: string;
  readonly key: string;
}

const indented = (text: string): string => text.trimEnd().replace(/^/gm, "    ");

const secret = (name: string, { certificate, key }: Pem, ca?: string): string => `
---
apiVersion: v1
kind: Secret
metadata: {name: ${name}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
${indented(certificate)}
  tls.key: |
${indented(key)}
${ca === undefined ? "" : `  ca.crt: |\n${indented(ca)}`}
`;

const deployment = (app: string, version: string): string => `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${app}-${version}}
spec:
  selector: {matchLabels: {app: ${app}, version: ${version}}}
  template:
    metadata: {labels: {app: ${app}, version: ${version}}}
    spec:
      containers:
        - {name: main, image: "main:1", ports: [{containerPort: 8080}, {containerPort: 7070}, {containerPort: 7443}]}
`;

const YAML = `
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 8080}, {name: tcp, port: 7070}, {name: tls, port: 7443}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a-general}
spec:
  hosts: [shop]
  http:
    - name: api
      match: [{uri: {prefix: /api}}]
      corsPolicy:
        allowOrigins: [{exact: "https://shop.example"}]
        allowMethods: [GET, PUT]
        allowHeaders: [x-token]
        exposeHeaders: [x-answer]
        maxAge: 10m
        allowCredentials: true
      route: [{destination: {host: shop, subset: v1}}]
    - name: strict
      match: [{uri: {prefix: /strict}}]
      corsPolicy: {allowOrigins: [{exact: "https://shop.example"}], unmatchedPreflights: IGNORE}
      route: [{destination: {host: shop, subset: v1}}]
    - name: handed-on
      match: [{uri: {prefix: /parts}}]
      delegate: {name: parts}
    - name: rest
      route: [{destination: {host: shop, subset: v1}}]
  tcp:
    - match: [{port: 7070}]
      route:
        - {destination: {host: shop, subset: v1}, weight: 3}
        - {destination: {host: shop, subset: v2}, weight: 1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b-special}
spec:
  hosts: [shop]
  http:
    - name: longer
      match: [{uri: {prefix: /api/special}}]
      route: [{destination: {host: shop, subset: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: parts}
spec:
  http:
    - name: wheels
      match: [{uri: {prefix: /parts/wheels}}]
      route: [{destination: {host: shop, subset: v2}}]
    - name: rest
      route: [{destination: {host: shop, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: c-names}
spec:
  hosts: [shop.default.svc.cluster.local, one.example, two.example]
  tls:
    - match: [{port: 7443, sniHosts: [one.example]}]
      route: [{destination: {host: shop, subset: v1}}]
    - match: [{port: 7443, sniHosts: [two.example]}]
      route: [{destination: {host: shop, subset: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: d-names}
spec:
  hosts: [shop]
  tls:
    - match: [{port: 7443, sniHosts: [shop]}]
      route: [{destination: {host: shop, subset: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 443, name: https-one, protocol: HTTPS}, hosts: [one.example], tls: {mode: SIMPLE, credentialName: one}}
    - {port: {number: 443, name: https-two, protocol: HTTPS}, hosts: ["*/two.example"], tls: {mode: SIMPLE, credentialName: two, minProtocolVersion: TLSV1_3}}
    - {port: {number: 443, name: https-lost, protocol: HTTPS}, hosts: [lost.example], tls: {mode: SIMPLE, credentialName: lost}}
    - {port: {number: 443, name: tls-through, protocol: TLS}, hosts: ["*.through.example"], tls: {mode: PASSTHROUGH}}
    - {port: {number: 444, name: https-mutual, protocol: HTTPS}, hosts: ["*"], tls: {mode: MUTUAL, credentialName: mutual}}
    - {port: {number: 445, name: https-optional, protocol: HTTPS}, hosts: ["*"], tls: {mode: OPTIONAL_MUTUAL, credentialName: mutual}}
    - {port: {number: 446, name: tls-opened, protocol: TLS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: one}}
    - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: ["one.example", "two.example", "a.through.example", "any.example"]
  gateways: [front]
  http:
    - match: [{authority: {prefix: two.}}]
      route: [{destination: {host: shop, port: {number: 8080}, subset: v2}}]
    - route: [{destination: {host: shop, port: {number: 8080}, subset: v1}}]
  tls:
    - match: [{port: 443, sniHosts: [a.through.example]}]
      route: [{destination: {host: shop, port: {number: 7443}, subset: v2}}]
  tcp:
    - match: [{port: 446}]
      route: [{destination: {host: shop, port: {number: 7070}, subset: v2}}]
    - match: [{port: 9000}]
      route:
        - {destination: {host: shop, port: {number: 7070}, subset: v1}, weight: 1}
        - {destination: {host: shop, port: {number: 7070}, subset: v2}, weight: 4}
${deployment("shop", "v1")}
${deployment("shop", "v2")}
${deployment("caller", "v1")}
`;

const network = `127.${130 + (process.pid % 100)}`;
const servers: (Server | TcpServer)[] = [];
let root: Issuer;
let client: Pem;
let stranger: Pem;
let mesh: Mesh;
let served: ServedMesh;
let caller: Proxy;

async function pem(issuer: Issuer, ...dnsNames: readonly string[]): Promise<Pem> {
  const leaf = await issueLeaf(issuer, { uri: "spiffe://test/x", dnsNames, nowMs: Date.now(), lifetimeMs: 3_600_000 });
  return { certificate: leaf.chainPem, key: leaf.privateKey.reveal() };
}

async function listening(server: Server | TcpServer): Promise<ListenAddress> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { address: "127.0.0.1", port: address.port };
}

/** What listens behind one instance, by container port. */
async function application(name: string, certificate: Pem): Promise<ReadonlyMap<number, ListenAddress>> {
  const http = createServer((incoming, outgoing) => outgoing.writeHead(200, { "x-upstream": name }).end(incoming.headers.host));
  http.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.once("data", (bytes) => socket.end(`${name} heard ${bytes}`));
  });
  const tcp = createTcpServer((socket) => socket.on("error", () => socket.destroy()).end(name));
  const tls = createTlsServer({ cert: certificate.certificate, key: certificate.key }, (socket) => socket.on("error", () => socket.destroy()).end(name));
  return new Map([
    [8080, await listening(http)],
    [7070, await listening(tcp)],
    [7443, await listening(tls)],
  ]);
}

beforeAll(async () => {
  root = await createRoot(1, Date.now());
  client = await pem(root, "client.example");
  stranger = await pem(await createRoot(2, Date.now()), "stranger.example");
  const inside = await pem(root, "a.through.example", "one.example", "two.example");
  const names = ["shop-v1-1", "shop-v2-1", "caller-v1-1"];
  const apps = new Map(await Promise.all(names.map(async (name) => [name, await application(name, inside)] as const)));
  const behind = (instance: string, port: InboundPort): ListenAddress => apps.get(instance)?.get(port.containerPort) ?? { address: "127.0.0.1", port: 9 };
  const secrets = [secret("one", await pem(root, "one.example")), secret("two", await pem(root, "two.example"))];
  secrets.push(secret("mutual", await pem(root, "any.example"), root.rootsPem[0] ?? ""));
  mesh = wiredMesh(YAML + secrets.join(""), { network, httpProxy: false, application: behind });
  served = await serveMesh(mesh);
  caller = sidecar(mesh, "caller-v1");
}, 120_000);

afterAll(async () => {
  await served?.close();
  for (const server of servers) {
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
  }
});

function service(port: number): ListenAddress {
  const listener = caller.outbound.find((candidate) => candidate.port === port && candidate.hostname.startsWith("shop."));
  if (listener === undefined) throw new Error(`no listener for port ${port}`);
  return listener.listen;
}

function gateway(number: number): ListenAddress & { readonly explainPort: number } {
  const port = mesh.proxies.flatMap(({ gatewayPorts }) => gatewayPorts).find((candidate) => candidate.number === number);
  if (port === undefined) throw new Error(`no gateway port ${number}`);
  return { ...port.listen, explainPort: port.explainPort };
}

/** All that a connection gives until it ends; empty where it is closed at once. */
function readAll(open: () => ReturnType<typeof connect> | TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = "";
    const socket = open();
    socket.setEncoding("utf8").on("data", (text: string) => {
      got += text;
    });
    socket.once("close", () => resolve(got)).once("error", reject);
  });
}

const tcpTo = ({ address, port }: ListenAddress) => readAll(() => connect(port, address));
const tlsTo = ({ address, port }: ListenAddress, servername: string) => readAll(() => connectTls({ host: address, port, servername, ca: root.rootsPem[0] }));

/** One request by HTTPS. Rejects where the handshake fails. */
function secureAsk(to: ListenAddress, servername: string, options: object = {}): Promise<{ status: number; upstream: unknown; protocol: string | null }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      { host: to.address, port: to.port, servername, headers: { host: servername }, agent: false, ca: root.rootsPem[0], ...options },
      (incoming) => {
        const protocol = "getProtocol" in incoming.socket && typeof incoming.socket.getProtocol === "function" ? String(incoming.socket.getProtocol()) : null;
        incoming.resume().once("end", () => resolve({ status: incoming.statusCode ?? 0, upstream: incoming.headers["x-upstream"], protocol }));
      },
    );
    outgoing.once("error", reject).end();
  });
}

describe("VirtualServices for one host", () => {
  it("merge: the longer prefix counts, whichever of them has it, and the rest stays", async () => {
    expect((await ask(service(8080), "/api/special/x")).headers["x-upstream"]).toBe("shop-v2-1");
    expect((await ask(service(8080), "/api/x")).headers["x-upstream"]).toBe("shop-v1-1");
    expect((await ask(service(8080), "/else")).headers["x-upstream"]).toBe("shop-v1-1");
  });

  it("delegate, inside of what they match", async () => {
    expect((await ask(service(8080), "/parts/wheels")).headers["x-upstream"]).toBe("shop-v2-1");
    expect((await ask(service(8080), "/parts/doors")).headers["x-upstream"]).toBe("shop-v1-1");
  });
});

describe("a CORS policy", () => {
  const preflight = (path: string, origin: string) =>
    ask(service(8080), path, { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } });

  it("answers the preflight of an allowed origin, and lets others go on", async () => {
    const allowed = await preflight("/api/x", "https://shop.example");
    expect([allowed.status, allowed.headers["x-upstream"]]).toEqual([200, undefined]);
    expect(allowed.headers).toMatchObject({
      "access-control-allow-origin": "https://shop.example",
      "access-control-allow-methods": "GET,PUT",
      "access-control-allow-headers": "x-token",
      "access-control-max-age": "600",
      "access-control-allow-credentials": "true",
    });
    const foreign = await preflight("/api/x", "https://evil.example");
    expect(foreign.headers["x-upstream"]).toBe("shop-v1-1");
    expect(foreign.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("keeps preflights of other origins from the destination where it is asked to", async () => {
    const foreign = await preflight("/strict", "https://evil.example");
    expect([foreign.headers["x-upstream"], foreign.headers["access-control-allow-origin"]]).toEqual([undefined, undefined]);
  });

  it("allows the answer to a request of an allowed origin alone", async () => {
    const answer = async (origin: string) => (await ask(service(8080), "/api/x", { headers: { origin } })).headers;
    expect(await answer("https://shop.example")).toMatchObject({
      "access-control-allow-origin": "https://shop.example",
      "access-control-expose-headers": "x-answer",
    });
    expect(await answer("https://evil.example")).not.toHaveProperty("access-control-allow-origin");
  });
});

/** Counts answers of `total` connections, a few at a time. */
async function countConnections(open: () => Promise<string>, total: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let done = 0; done < total; done += 20) {
    for (const answer of await Promise.all(Array.from({ length: 20 }, open))) counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

describe("connections", () => {
  it("are divided by weight", async () => {
    const counts = await countConnections(() => tcpTo(service(7070)), 600);
    expect(Object.keys(counts).sort()).toEqual(["shop-v1-1", "shop-v2-1"]);
    // 600 draws at a quarter: five standard deviations are 53.
    expect(Math.abs((counts["shop-v2-1"] ?? 0) - 150)).toBeLessThan(53);
  });

  it("go where their SNI leads, and to the service itself without one that is named", async () => {
    expect(await tlsTo(service(7443), "one.example")).toBe("shop-v1-1");
    expect(await tlsTo(service(7443), "two.example")).toBe("shop-v2-1");
    const others = await countConnections(() => readAll(() => connectTls({ ...connectOptions(service(7443)), servername: "" })), 40);
    expect(Object.values(others).reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(others[""]).toBeUndefined();
  });
});

function connectOptions({ address, port }: ListenAddress) {
  return { host: address, port, rejectUnauthorized: false };
}

describe("a gateway", () => {
  it("serves HTTPS, each host by its own certificate", async () => {
    expect(await secureAsk(gateway(443), "one.example")).toMatchObject({ status: 200, upstream: "shop-v1-1" });
    expect(await secureAsk(gateway(443), "two.example")).toMatchObject({ status: 200, upstream: "shop-v2-1", protocol: "TLSv1.3" });
  });

  it("holds to the least version of TLS", async () => {
    await expect(secureAsk(gateway(443), "two.example", { maxVersion: "TLSv1.2" })).rejects.toThrow();
    expect(await secureAsk(gateway(443), "one.example", { maxVersion: "TLSv1.2" })).toMatchObject({ protocol: "TLSv1.2" });
  });

  it("reaches by one server's SNI that server's hosts alone", async () => {
    expect(await secureAsk(gateway(443), "one.example", { headers: { host: "two.example" } })).toMatchObject({ status: 404 });
  });

  it("says which certificate is missing, and serves the port's other servers", async () => {
    await expect(secureAsk(gateway(443), "lost.example")).rejects.toThrow();
    expect(mesh.diagnostics.filter(({ code }) => code === "WEFT0432").map(({ what }) => what)).toEqual([
      "there is no Secret weft-system/lost or default/lost, so nobody is answered here; the port serves its other servers",
    ]);
  });

  it("passes TLS on unopened, by its SNI", async () => {
    expect(await tlsTo(gateway(443), "a.through.example")).toBe("shop-v2-1");
  });

  it("asks for the client's certificate where TLS is mutual", async () => {
    const own = { cert: client.certificate, key: client.key };
    expect(await secureAsk(gateway(444), "any.example", own)).toMatchObject({ status: 200 });
    await expect(secureAsk(gateway(444), "any.example")).rejects.toThrow();
    await expect(secureAsk(gateway(444), "any.example", { cert: stranger.certificate, key: stranger.key })).rejects.toThrow();
    expect(await secureAsk(gateway(445), "any.example")).toMatchObject({ status: 200 });
    await expect(secureAsk(gateway(445), "any.example", { cert: stranger.certificate, key: stranger.key })).rejects.toThrow();
  });

  it("opens TLS and passes the bytes on", async () => {
    expect(await tlsTo(gateway(446), "one.example")).toBe("shop-v2-1");
  });

  it("divides connections by weight", async () => {
    const counts = await countConnections(() => tcpTo(gateway(9000)), 600);
    // 600 draws at a fifth: five standard deviations are 49.
    expect(Math.abs((counts["shop-v1-1"] ?? 0) - 120)).toBeLessThan(49);
  });

  it("speaks HTTP/2 where the client asks for it", async () => {
    const { address, port } = gateway(443);
    const session = connectHttp2("https://one.example", {
      createConnection: () => connectTls({ host: address, port, servername: "one.example", ca: root.rootsPem[0], ALPNProtocols: ["h2"] }),
    });
    const stream = session.request({ ":path": "/x", ":authority": "one.example" });
    const headers = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => stream.once("response", resolve).once("error", reject));
    expect([headers[":status"], headers["x-upstream"]]).toEqual([200, "shop-v1-1"]);
    session.destroy();
  });

  it("upgrades to a WebSocket inside TLS", async () => {
    const { address, port } = gateway(443);
    const text = await readAll(() => {
      const socket = connectTls({ host: address, port, servername: "one.example", ca: root.rootsPem[0] });
      socket.write("GET /ws HTTP/1.1\r\nHost: one.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.once("data", () => socket.write("hello"));
      return socket;
    });
    expect(text).toMatch(/^HTTP\/1\.1 101 [\s\S]*shop-v1-1 heard hello$/);
  });

  it("explains what each of its HTTPS hosts would do", async () => {
    const { address, explainPort } = gateway(443);
    const said = async (host: string): Promise<unknown> => JSON.parse((await ask({ address, port: explainPort }, "/x", { headers: { host } })).body);
    expect(await said("two.example")).toMatchObject({ cluster: "outbound|8080|v2|shop.default.svc.cluster.local" });
    expect(await said("one.example")).toMatchObject({ cluster: "outbound|8080|v1|shop.default.svc.cluster.local" });
  });
});

describe("what Envoy says", () => {
  it("refuses nothing that Weft sent", () => {
    expect(served.refusals).toEqual([]);
  });
});
