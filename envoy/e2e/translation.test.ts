// What translation makes, in real Envoys: a caller with its sidecar, two versions of a service with theirs, and a gateway.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders as IncomingHttpHeaders2,
  type Http2Server as Server2,
} from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { ListenAddress, Proxy } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { deployment, sidecar } from "../../control-plane/test/mesh-of.ts";
import { wiredMesh } from "../../control-plane/test/wired-mesh.ts";
import { until } from "./mesh.ts";
import { ask, type Reply, type ServedMesh, serveMesh } from "./served-mesh.ts";

const YAML = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec:
  selector: {app: reviews, version: v1}
  ports: [{name: http, port: 9090}]
---
apiVersion: v1
kind: Service
metadata: {name: bytes}
spec:
  selector: {app: bytes}
  ports: [{name: tcp, port: 7070}]
---
apiVersion: v1
kind: Service
metadata: {name: stream}
spec:
  selector: {app: stream}
  ports: [{name: grpc, port: 6060}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
    - {name: none, labels: {version: none}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  annotations: {weft.mesh/sticky: "header:x-user"}
spec:
  hosts: [reviews]
  http:
    - name: by-authority
      match: [{authority: {exact: reviews}, uri: {exact: /authority}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - name: aborted
      match: [{uri: {prefix: /aborted}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: reviews, subset: v1}}]
    - name: rewritten
      match: [{uri: {prefix: /old/}}, {uri: {exact: /exact}}, {uri: {regex: /re.*x}}]
      rewrite: {uri: /new/, authority: other.example}
      headers: {request: {set: {x-added: "yes"}, remove: [x-gone]}, response: {add: {x-answered: "yes"}}}
      route: [{destination: {host: reviews, subset: v1}}]
    - name: pattern
      match: [{uri: {prefix: /users/}}]
      rewrite: {uriRegexRewrite: {match: "^/users/([0-9]+)", rewrite: '/u/\\1'}}
      route: [{destination: {host: reviews, subset: v1}}]
    - name: redirected
      match: [{uri: {prefix: /redirected}}]
      redirect: {uri: /elsewhere, authority: other.example, redirectCode: 302}
    - name: direct
      match: [{uri: {prefix: /direct}}]
      directResponse: {status: 203, body: {string: said by Envoy}}
    - name: empty
      match: [{uri: {prefix: /empty}}]
      route: [{destination: {host: reviews, subset: none}, weight: 50}, {destination: {host: reviews, subset: v2}, weight: 50}]
    - name: typo
      match: [{uri: {prefix: /typo}}]
      route: [{destination: {host: nobody}}]
    - name: primary
      route:
        - {destination: {host: reviews, subset: v1}, weight: 50, headers: {request: {set: {x-version: v1}}}}
        - {destination: {host: reviews, subset: v2}, weight: 50}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: made-up}
spec:
  hosts: [reviews.example, "*.reviews.example"]
  http:
    - route: [{destination: {host: reviews, subset: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.shop.example"]}
    - {port: {number: 81, name: http-81, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: [a.shop.example]
  gateways: [front]
  http:
    - route: [{destination: {host: plain}}]
${deployment("reviews-v1", "app: reviews, version: v1", "ap-northeast-2a")}
${deployment("reviews-v2", "app: reviews, version: v2", "ap-northeast-2b")}
${deployment("bytes", "app: bytes", "ap-northeast-2a", 1, 7070)}
${deployment("stream", "app: stream", "ap-northeast-2a", 1, 6060)}
${deployment("caller", "app: caller", "ap-northeast-2a", 1, 7000)}
`;

const echoed = z.object({ method: z.string(), url: z.string(), headers: z.record(z.string(), z.string()) });

/** An application that tells what it got, and claims to be a sidecar by the marker's name. */
function startEcho(name: string): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    if (incoming.url === "/hang-up") return incoming.socket.destroy();
    outgoing.writeHead(200, { "x-upstream": name, "x-weft-retry": "mine" });
    return outgoing.end(JSON.stringify({ method: incoming.method, url: incoming.url, headers: incoming.headers }));
  });
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.once("data", (bytes) => socket.end(`heard ${bytes}`));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** An application that speaks HTTP/2 without TLS only, and ends as gRPC does: with trailers. */
async function startStream(): Promise<Server2> {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(String(headers[":authority"]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** A conversation in bytes: what was received until the other side closed. */
function converse(to: ListenAddress, opening: string, answer: (got: string) => string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = "";
    const socket = connect(to.port, to.address, () => socket.write(opening));
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      got += chunk;
      const next = answer(got);
      if (next !== undefined) socket.write(next);
    });
    socket.once("close", () => resolve(got)).once("error", reject);
  });
}

function portOf(server: Server | Server2 | undefined): number {
  const address = server?.address();
  if (typeof address !== "object" || address === null) throw new Error("the application has no port");
  return address.port;
}

function stop(server: Server | Server2): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
}

// Two runs at once do not meet: each has addresses of its own.
const network = `127.${130 + (process.pid % 100)}`;
const apps = new Map<string, Server | Server2>();
let folder = "";
let accessLogPath = "";
let mesh: Mesh;
let served: ServedMesh;
let caller: Proxy;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-translation-"));
  accessLogPath = join(folder, "access.log");
  for (const name of ["reviews-v1-1", "reviews-v2-1", "bytes-1", "caller-1"]) apps.set(name, await startEcho(name));
  const application = (instance: string): ListenAddress => ({ address: "127.0.0.1", port: portOf(apps.get(instance)) });
  apps.set("stream-1", await startStream());
  mesh = wiredMesh(YAML, { network, httpProxy: true, accessLogPath, application });
  served = await serveMesh(mesh);
  caller = sidecar(mesh, "caller");
});

afterAll(async () => {
  await served?.close();
  await Promise.all([...apps.values()].map(stop));
  if (folder !== "") await rm(folder, { recursive: true, force: true });
});

function service(name: string): ListenAddress & { readonly explain: ListenAddress } {
  const listener = caller.outbound.find(({ hostname }) => hostname.startsWith(`${name}.`));
  if (listener === undefined) throw new Error(`the caller does not listen for ${name}`);
  return { ...listener.listen, explain: { address: listener.listen.address, port: listener.explainPort } };
}

function proxyPort(): ListenAddress {
  if (caller.httpProxy === undefined) throw new Error("the caller has no proxy port");
  return caller.httpProxy;
}

function gatewayPort(number: number): ListenAddress {
  const port = mesh.proxies.flatMap(({ gatewayPorts }) => gatewayPorts).find((candidate) => candidate.number === number);
  if (port === undefined) throw new Error(`no gateway port ${number}`);
  return port.listen;
}

function inboundPort(workload: string): ListenAddress {
  const [port] = sidecar(mesh, workload).inbound;
  if (port === undefined) throw new Error(`${workload} has no port`);
  return port.listen;
}

function echo(reply: Reply): z.infer<typeof echoed> {
  expect(reply.status, reply.body).toBe(200);
  return echoed.parse(JSON.parse(reply.body));
}

describe("a service listener", () => {
  it("reaches the service, with the Host and the path that a client in a cluster would send", async () => {
    const reply = await ask(service("plain"), "/x?y=1");
    expect(reply.headers["x-upstream"]).toBe("reviews-v1-1");
    expect(echo(reply)).toMatchObject({ method: "GET", url: "/x?y=1", headers: { host: "plain:9090" } });
    expect(echo(await ask(service("reviews"), "/x")).headers.host).toBe("reviews");
  });

  it("keeps a user at one version, and spreads users over both", async () => {
    const versions = new Map<string, Set<unknown>>();
    for (let round = 0; round < 3; round++) {
      for (let user = 0; user < 30; user++) {
        const { headers } = await ask(service("reviews"), "/x", { headers: { "x-user": `user-${user}` } });
        versions.set(`user-${user}`, (versions.get(`user-${user}`) ?? new Set()).add(headers["x-upstream"]));
      }
    }
    expect([...versions.values()].every((seen) => seen.size === 1)).toBe(true);
    expect(new Set([...versions.values()].flatMap((seen) => [...seen]))).toEqual(new Set(["reviews-v1-1", "reviews-v2-1"]));
  });

  it("folds the authority in, so that a match sees what it would see in a cluster", async () => {
    expect((await ask(service("reviews"), "/authority")).headers["x-upstream"]).toBe("reviews-v2-1");
  });

  it("rewrites prefixes, exact paths, patterns and the authority, and changes headers", async () => {
    const changed = await ask(service("reviews"), "/old/a?b=c", { headers: { "x-gone": "1" } });
    expect(echo(changed)).toMatchObject({ url: "/new/a?b=c", headers: { host: "other.example", "x-added": "yes" } });
    expect(echo(changed).headers["x-gone"]).toBeUndefined();
    expect(changed.headers["x-answered"]).toBe("yes");
    expect(echo(await ask(service("reviews"), "/exact?q=1")).url).toBe("/new/?q=1");
    expect(echo(await ask(service("reviews"), "/regex?q=1")).url).toBe("/new/?q=1");
    expect(echo(await ask(service("reviews"), "/users/17/name")).url).toBe("/u/17/name");
  });

  it("redirects, answers and aborts without the service", async () => {
    const redirected = await ask(service("reviews"), "/redirected");
    expect([redirected.status, redirected.headers.location]).toEqual([302, "http://other.example/elsewhere"]);
    const direct = await ask(service("reviews"), "/direct");
    expect([direct.status, direct.body]).toEqual([203, "said by Envoy"]);
    expect((await ask(service("reviews"), "/aborted")).status).toBe(418);
  });

  it("leaves out a subset without endpoints, and answers 503 where nothing is left", async () => {
    for (let i = 0; i < 10; i++) expect((await ask(service("reviews"), "/empty")).headers["x-upstream"]).toBe("reviews-v2-1");
    expect((await ask(service("reviews"), "/typo")).status).toBe(503);
  });

  it("sends the headers of one destination to that destination only", async () => {
    for (let user = 0; user < 20; user++) {
      const reply = await ask(service("reviews"), "/x", { headers: { "x-user": `user-${user}`, "x-weft-pick": "0" } });
      expect(echo(reply).headers["x-version"]).toBe(reply.headers["x-upstream"] === "reviews-v1-1" ? "v1" : undefined);
      expect(Object.keys(echo(reply).headers).filter((name) => name.startsWith("x-weft") || name.startsWith("x-envoy"))).toEqual([]);
    }
  });

  it("passes bytes for a port that is not HTTP", async () => {
    expect((await ask(service("bytes"), "/x")).headers).toMatchObject({ "x-upstream": "bytes-1", "x-weft-retry": "mine" });
  });

  it("carries HTTP/2 from end to end, trailers included", async () => {
    const { address, port } = service("stream");
    const session = connectHttp2(`http://${address}:${port}`);
    const stream = session.request({ ":method": "POST", ":path": "/weft.Test/Call" });
    const trailers = new Promise<IncomingHttpHeaders2>((resolve, reject) => stream.once("trailers", resolve).once("error", reject));
    let body = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    stream.end("hello");
    expect((await trailers)["grpc-status"]).toBe("0");
    expect(body).toBe("stream:6060");
    session.destroy();
  });

  it("upgrades to a WebSocket", async () => {
    const opening = "GET /ws HTTP/1.1\r\nHost: plain\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const text = await converse(service("plain"), opening, (got) => (got.endsWith("\r\n\r\n") ? "hello" : undefined));
    expect(text).toMatch(/^HTTP\/1\.1 101 /);
    expect(text).toMatch(/heard hello$/);
  });
});

describe("an explain listener", () => {
  it("says what the route is, and lets nothing through", async () => {
    const said = await ask(service("reviews").explain, "/x", { headers: { "x-user": "user-1" } });
    expect(said.headers["x-upstream"]).toBeUndefined();
    expect(JSON.parse(said.body)).toMatchObject({ route: "reviews.default/primary", key: "user-1", zone: "ap-northeast-2a", recordError: null });
    const went = await ask(service("reviews"), "/x", { headers: { "x-user": "user-1" } });
    expect(JSON.parse(said.body).entry).toContain(went.headers["x-upstream"] === "reviews-v1-1" ? "|v1|" : "|v2|");
    expect(JSON.parse((await ask(service("plain").explain, "/x")).body)).toMatchObject({
      route: "default",
      cluster: "outbound|9090||plain.default.svc.cluster.local",
    });
  });

  it("serves the proxy port's virtual hosts too", async () => {
    const { httpProxy } = caller;
    const to = { address: proxyPort().address, port: httpProxy?.explainPort ?? 0 };
    expect(JSON.parse((await ask(to, "http://plain:9090/x", { headers: { host: "plain:9090" } })).body)).toMatchObject({ route: "default" });
    expect(JSON.parse((await ask(to, "http://nowhere.invalid/", { headers: { host: "nowhere.invalid" } })).body)).toMatchObject({ route: "allow_any" });
  });
});

describe("the HTTP proxy port", () => {
  const through = (host: string, path = "/x", headers: Readonly<Record<string, string>> = {}): Promise<Reply> =>
    ask(proxyPort(), `http://${host}${path}`, { headers: { host, ...headers } });

  it("reaches a service by each of its names", async () => {
    for (const host of ["plain:9090", "plain", "plain.default:9090", "plain.default.svc:9090", "plain.default.svc.cluster.local:9090"]) {
      const reply = await through(host);
      expect([host, reply.headers["x-upstream"]]).toEqual([host, "reviews-v1-1"]);
      expect(echo(reply).headers.host).toBe(host);
    }
  });

  it("routes a host that only a VirtualService names", async () => {
    for (const host of ["reviews.example", "reviews.example:80", "reviews.example:9090", "a.reviews.example"]) {
      expect([host, (await through(host)).headers["x-upstream"]]).toEqual([host, "reviews-v2-1"]);
    }
  });

  it("passes unknown names on, logs them, and answers 503 where they do not resolve", async () => {
    expect((await through(`localhost:${portOf(apps.get("caller-1"))}`)).headers["x-upstream"]).toBe("caller-1");
    expect((await through("nowhere.invalid")).status).toBe(503);
    const line = await until("the unknown name in the access log", async () =>
      (await readFile(accessLogPath, "utf8")).split("\n").find((text) => text.includes("nowhere.invalid") && text.includes("PassthroughCluster")),
    );
    expect(JSON.parse(line)).toMatchObject({ authority: "nowhere.invalid", status: 503, route: "allow_any", cluster: "PassthroughCluster" });
  });

  it.each(["plain:9090", "localhost"])("tunnels to %s by CONNECT", async (host) => {
    const target = host.includes(":") ? host : `${host}:${portOf(apps.get("caller-1"))}`;
    const opening = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`;
    const inside = "GET /inside HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n";
    const text = await converse(proxyPort(), opening, (got) => (/^HTTP\/1\.1 200 [^\n]*\r\n([^\n]+\r\n)*\r\n$/.test(got) ? inside : undefined));
    expect(text).toContain('"url":"/inside"');
  });
});

describe("a gateway", () => {
  it("explains too, also that no route matches", async () => {
    const port = mesh.proxies.flatMap(({ gatewayPorts }) => gatewayPorts).find(({ number }) => number === 80);
    const to = { address: port?.listen.address ?? "", port: port?.explainPort ?? 0 };
    const said = async (host: string): Promise<unknown> => JSON.parse((await ask(to, "/x", { headers: { host } })).body);
    expect(await said("a.shop.example")).toMatchObject({ route: "front.default/default", cluster: "outbound|9090||plain.default.svc.cluster.local" });
    expect(await said("b.shop.example")).toMatchObject({ route: null, cluster: null });
  });

  const at = (port: number, host: string): Promise<Reply> => ask(gatewayPort(port), "/x", { headers: { host } });

  it("serves the hosts that Gateway and VirtualService both name, whatever port the client names", async () => {
    for (const host of ["a.shop.example", "a.shop.example:8080"]) expect((await at(80, host)).headers["x-upstream"]).toBe("reviews-v1-1");
    expect((await at(80, "b.shop.example")).status).toBe(404);
    expect((await at(80, "a.other.example")).status).toBe(404);
  });

  it("redirects to HTTPS where the server asks for it", async () => {
    const reply = await at(81, "any.example");
    expect([reply.status, reply.headers.location]).toEqual([301, "https://any.example/x"]);
  });
});

describe("the retry marker", () => {
  it("is the sidecar's word alone: the application's own is removed", async () => {
    expect((await ask(inboundPort("reviews-v1"), "/x")).headers["x-weft-retry"]).toBeUndefined();
  });

  it("stands on what the inbound sidecar answers by itself, and no program sees it", async () => {
    expect((await ask(inboundPort("reviews-v1"), "/hang-up", { method: "POST" })).headers["x-weft-retry"]).toBe("reset");
    await stop(apps.get("caller-1") ?? createServer());
    const unsent = await ask(inboundPort("caller"), "/x");
    expect([unsent.status, unsent.headers["x-weft-retry"]]).toEqual([503, "unsent"]);
    const seen = await ask(service("plain"), "/hang-up", { method: "POST" });
    expect([seen.status, seen.headers["x-weft-retry"]]).toEqual([503, undefined]);
  });
});

describe("what Envoy says", () => {
  it("refuses nothing and warns of nothing that Weft sent", () => {
    expect(served.refusals).toEqual([]);
    expect(
      served
        .log()
        .split("\n")
        .filter((line) => /deprecated|unknown field|rejected/i.test(line)),
    ).toEqual([]);
  });
});
