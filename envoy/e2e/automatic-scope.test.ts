// Automatic scope on real Envoys: the same answers as with the whole mesh in every proxy, and what happens when hosts come and go, or the control plane does.
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "./dynamic-envoy.ts";
import { type Caller, type ScopedMesh, serviceYaml, startScopedMesh, startUpstream, type Upstream, WAIT_MS } from "./scoped-mesh.ts";
import { ask, type Reply } from "./served-mesh.ts";

const NAMES = Array.from({ length: 40 }, (_, index) => `s${index}`);
const network = `127.${10 + (process.pid % 100)}`;
const otherNetwork = `127.${120 + (process.pid % 100)}`;

function meshYaml(scope: "auto" | "all", options: { readonly mode?: string; readonly names?: readonly string[]; readonly more?: string } = {}): string {
  const { mode = "ALLOW_ANY", names = NAMES, more = "" } = options;
  const config = `apiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {scope: ${scope}, outboundTrafficPolicy: {mode: ${mode}}}\n`;
  return config + names.map((name) => serviceYaml(name)).join("") + RULES + more;
}

/** Services with other ports, rules with and without a last route, hosts that only rules name, and hosts outside. */
const RULES = `---
apiVersion: v1
kind: Service
metadata: {name: two-ports}
spec: {selector: {app: s1}, ports: [{name: http, port: 8080}, {name: http-more, port: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: one-port}
spec: {selector: {app: s2}, ports: [{name: http, port: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: other}
spec: {selector: {app: s3}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: open-ended}
spec:
  hosts: [s4]
  http:
    - {match: [{uri: {prefix: /known}}], route: [{destination: {host: s5}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: weighted}
spec:
  hosts: [s6]
  http:
    - {match: [{uri: {exact: /away}}], redirect: {authority: elsewhere.example}}
    - {match: [{uri: {exact: /said}}], directResponse: {status: 203, body: {string: said}}}
    - {route: [{destination: {host: s7}, weight: 100}, {destination: {host: s8}, weight: 0}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rules-only}
spec:
  hosts: [rules.example, "*.many.example"]
  http: [{route: [{destination: {host: s9, port: {number: 80}}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [outside.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: ENDPOINT, ports: {http: UPSTREAM}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: special}
spec: {hosts: [special.many.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: ENDPOINT, ports: {http: UPSTREAM}}]}
`;

let upstream: Upstream;
let auto: ScopedMesh;
let all: ScopedMesh;

const withUpstream = (yaml: string): string => yaml.replaceAll("UPSTREAM", String(upstream.port)).replaceAll("ENDPOINT", "127.0.0.7");
const get = (caller: Caller | undefined, host: string, path = "/x", options: Parameters<typeof ask>[2] = {}): Promise<Reply> => {
  if (caller === undefined) throw new Error("nobody calls");
  return ask(caller.proxy, `http://${host}${path}`, { ...options, headers: { host, ...options.headers } });
};

beforeAll(async () => {
  upstream = await startUpstream();
  auto = await startScopedMesh({ yaml: withUpstream(meshYaml("auto")), names: NAMES, network, upstream });
  all = await startScopedMesh({ yaml: withUpstream(meshYaml("all")), names: NAMES, network: otherNetwork, upstream });
});

afterAll(async () => {
  await auto?.close();
  await all?.close();
  await upstream?.close();
});

/** What a client sees, without what differs from mesh to mesh or from time to time. */
function seen({ status, headers, body }: Reply): unknown {
  const { date: _, ...rest } = headers;
  return { status, headers: rest, body: body };
}

/** What is answered to `text` and, where that opens a way through, to `then`. */
function converse(caller: Caller | undefined, text: string, then: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(caller?.proxy.port ?? 0, caller?.proxy.address);
    let got = "";
    let sent = false;
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      got += chunk;
      if (!sent && /^HTTP\/1\.1 (?:101|200)[\s\S]*\r\n\r\n$/.test(got)) {
        sent = true;
        socket.write(then);
      } else if (/[}o\n]$/.test(got) && (sent || !got.startsWith("HTTP/1.1 200"))) socket.destroy();
    });
    socket.once("error", reject).once("close", () => resolve(got.replace(/date: [^\r]*\r\n/gi, "")));
    socket.write(text);
  });
}

const HOSTS = [
  ...[
    "s0",
    "s0:80",
    "s0.default",
    "s0.default:80",
    "s0.default.svc",
    "s0.default.svc.cluster.local",
    "s0.default.svc.cluster.local:80",
    "S0",
    "s0:81",
    "s0.other",
  ],
  ...["two-ports", "two-ports:8080", "two-ports:9090", "two-ports:80", "one-port", "one-port:9090", "one-port:80"],
  ...["elsewhere", "elsewhere.other", "elsewhere.other.svc.cluster.local:80"],
  ...[
    "rules.example",
    "rules.example:80",
    "rules.example:9090",
    "rules.example:1",
    "a.many.example",
    "b.many.example:80",
    "special.many.example",
    "many.example",
  ],
  ...["outside.example", "outside.example:80", "nowhere.invalid", "nowhere.invalid:8080"],
];

describe.each(["ALLOW_ANY", "REGISTRY_ONLY"])("under %s, both scopes", (mode) => {
  beforeAll(async () => {
    await Promise.all([auto.publish(withUpstream(meshYaml("auto", { mode }))), all.publish(withUpstream(meshYaml("all", { mode })))]);
  });

  const both = async (request: (caller: Caller | undefined) => Promise<unknown>): Promise<void> => {
    const [expected, first, again] = [await request(all.callers[0]), await request(auto.callers[0]), await request(auto.callers[0])];
    expect(first).toEqual(expected);
    expect(again).toEqual(expected);
  };

  it.each(HOSTS)("answer alike for %s", async (host) => {
    await both(async (caller) => seen(await get(caller, host)));
  });

  it("answer alike for a name outside of the mesh, with its port", async () => {
    await both(async (caller) => seen(await get(caller, `localhost:${upstream.port}`)));
  });

  it.each(["/known/a", "/unknown"])("answer alike at %s where no route takes the rest", async (path) => {
    await both(async (caller) => seen(await get(caller, "s4", path)));
  });

  it.each(["/away", "/said", "/x"])("answer alike at %s where a rule answers by itself, and where it divides", async (path) => {
    await both(async (caller) => seen(await get(caller, "s6", path)));
  });

  it.each(["s10:80", "localhost", "rules.example:80", "s0:99"])("answer alike for a tunnel to %s", async (name) => {
    const target = name === "localhost" ? `localhost:${upstream.port}` : name;
    const inside = "GET /inside HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n";
    await both((caller) => converse(caller, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`, inside));
  });

  it("answer alike for a WebSocket", async () => {
    await both((caller) => converse(caller, "GET http://s11/ws HTTP/1.1\r\nHost: s11\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "hello"));
  });

  it("answer alike for a body that comes piece by piece", async () => {
    const head = "POST http://s12/x HTTP/1.1\r\nHost: s12\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    await both(async (caller) => (await slowly(caller, head, "6\r\n world\r\n0\r\n\r\n")).replace(/date: [^\r]*\r\n/i, ""));
  });
});

/** Sends the second part once the first has had its time to be looked at. */
function slowly(caller: Caller | undefined, first: string, second: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(caller?.proxy.port ?? 0, caller?.proxy.address);
    let got = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      got += chunk;
    });
    socket.once("error", reject).once("close", () => resolve(got));
    socket.write(first);
    setTimeout(() => socket.write(second), 200);
  });
}

describe("a proxy of automatic scope", () => {
  let mesh: ScopedMesh;
  const names = (caller: Caller | undefined): Promise<readonly string[]> =>
    (caller?.admin("/clusters?format=json") ?? Promise.resolve("{}")).then((text) =>
      [...text.matchAll(/"name": ?"outbound\|80\|\|(s\d+)\./g)].map(([, name = ""]) => name).sort(),
    );

  beforeAll(async () => {
    mesh = await startScopedMesh({ yaml: withUpstream(meshYaml("auto")), names: NAMES, network: `127.${230 + (process.pid % 10)}`, upstream });
  });

  afterAll(() => mesh?.close());

  it("holds what its workload has called and nothing else, and so does another copy, which need not ask", async () => {
    const [caller] = mesh.callers;
    expect(await names(caller)).toEqual([]);
    expect((await get(caller, "s0")).status).toBe(200);
    expect((await get(caller, "s1.default:80")).status).toBe(200);
    expect(await names(caller)).toEqual(["s0", "s1"]);
    const second = await mesh.addCaller();
    expect(await names(second)).toEqual(["s0", "s1"]);
    expect((await get(second, "s0")).status).toBe(200);
  });

  it("asks for twenty hosts at once", async () => {
    const hosts = NAMES.slice(10, 30);
    const replies = await Promise.all(hosts.map((host) => get(mesh.callers[0], host)));
    expect(replies.map(({ status }) => status)).toEqual(hosts.map(() => 200));
  });

  it("learns of a host that comes after it was asked for, and that it has gone", async () => {
    const [caller] = mesh.callers;
    expect((await get(caller, "late")).status).toBe(503);
    const late = "---\napiVersion: v1\nkind: Service\nmetadata: {name: late}\nspec: {selector: {app: s2}, ports: [{name: http, port: 80}]}\n";
    await mesh.publish(withUpstream(meshYaml("auto", { more: late })));
    expect((await get(caller, "late")).status).toBe(200);
    await mesh.publish(withUpstream(meshYaml("auto")));
    expect((await get(caller, "late")).status).toBe(503);
  });

  it("is told of a change of what it has called, and of no other", async () => {
    const rule = (host: string) =>
      `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: changed}\nspec: {hosts: [${host}], http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: ${host}}}]}]}\n`;
    const before = mesh.resourcesSent();
    await mesh.publish(withUpstream(meshYaml("auto", { more: rule("s39") })));
    expect(mesh.resourcesSent()).toBe(before);
    await mesh.publish(withUpstream(meshYaml("auto", { more: rule("s0") })));
    expect((await get(mesh.callers[0], "s0")).status).toBe(418);
    await mesh.publish(withUpstream(meshYaml("auto")));
    expect((await get(mesh.callers[0], "s0")).status).toBe(200);
  });

  it("decides already about the first request to a host", async () => {
    const users = Array.from({ length: 12 }, (_, user) => `user-${user}`);
    const versions = (prefix: string) =>
      users
        .map(
          (_, index) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: sticky-${prefix}-${index}, annotations: {weft.mesh/sticky: "header:x-user", weft.mesh/sticky-group: everyone}}
spec: {hosts: [${prefix}-${index}.sticky.example], http: [{route: [{destination: {host: s33}, weight: 50}, {destination: {host: s34}, weight: 50}]}]}
`,
        )
        .join("");
    await mesh.publish(withUpstream(meshYaml("auto", { more: versions("new") })));
    const place = async (user: string, index: number) =>
      JSON.parse((await get(mesh.callers[0], `new-${index}.sticky.example`, "/x", { headers: { "x-user": user } })).body).at;
    const first = await Promise.all(users.map(place));
    const later = await Promise.all(users.map(place));
    expect(first).toEqual(later);
    expect(new Set(first).size).toBe(2);
  });

  it("goes on with what was called while the control plane is away, says of the rest why it fails, and asks for it once it is back", async () => {
    const [caller] = mesh.callers;
    // The limit on waiting for a host is none on the host's own time.
    const slow = [get(caller, "s36", "/after/6500"), get(caller, "s0", "/after/6500")];
    await until("both have their host", async () => (await names(caller)).includes("s36"), WAIT_MS);
    await mesh.stopControlPlane();
    expect((await get(caller, "s0")).status).toBe(200);
    const failed = await get(caller, "s31");
    expect([failed.status, failed.body]).toEqual([
      504,
      expect.stringContaining("s31 is called for the first time, and the control plane did not say within 5 s what it is"),
    ]);
    const waiting = get(caller, "s32");
    await mesh.startControlPlane();
    expect((await waiting).status).toBe(200);
    expect((await get(caller, "s31")).status).toBe(200);
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
  });

  it.each([false, true])("is sent nothing by a control plane that was started again, also where that has forgotten what was called: %s", async (forget) => {
    // The other copy too has what was asked for last.
    await mesh.settled();
    await mesh.stopControlPlane();
    await mesh.startControlPlane({ forget });
    await mesh.settled();
    expect(mesh.resourcesSent()).toBe(0);
    expect(await Promise.all(["s0", "s1.default:80", "s15"].map(async (host) => (await get(mesh.callers[0], host)).status))).toEqual([200, 200, 200]);
  });

  it("gets all that a Sidecar resource imports, and nothing on demand, and the other way round without losing a request", async () => {
    const [caller] = mesh.callers;
    const statuses: number[] = [];
    let done = false;
    const load = (async () => {
      while (!done) statuses.push((await get(caller, "s0")).status);
    })();
    const sidecar = `---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\nspec: {egress: [{hosts: ["./s0.default.svc.cluster.local", "./s1.default.svc.cluster.local", "./s35.default.svc.cluster.local"]}]}\n`;
    await mesh.publish(withUpstream(meshYaml("auto", { more: sidecar })));
    await until("the hosts of the Sidecar are there", async () => (await names(caller)).includes("s35"), WAIT_MS);
    expect((await get(caller, "s35")).status).toBe(200);
    expect((await get(caller, "s20")).status).toBe(503);
    await mesh.publish(withUpstream(meshYaml("auto")));
    await until("what was called is there again", async () => (await get(caller, "s20")).status === 200, WAIT_MS);
    done = true;
    await load;
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });

  it("explains a host that was never called, by asking for it", async () => {
    const [caller] = mesh.callers;
    const reply = await ask(caller?.explain ?? { address: "", port: 0 }, "http://s38/x", { headers: { host: "s38" } });
    expect(JSON.parse(reply.body)).toMatchObject({ route: "default", cluster: "outbound|80||s38.default.svc.cluster.local" });
  });

  it("refuses nothing", () => {
    expect([...mesh.refusals(), ...auto.refusals(), ...all.refusals()]).toEqual([]);
  });
});
