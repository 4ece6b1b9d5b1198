// AuthorizationPolicies in real Envoys of a mesh: at sidecars, of requests and of connections, at gateways, with an authorizer outside, and in a dry run.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deployment } from "../../control-plane/test/mesh-of.ts";
import { until } from "./mesh.ts";
import { askRaw, type SecuredMesh, startSecuredMesh } from "./secured-mesh.ts";

const policy = (name: string, selector: string, rest: string, annotations = "") => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, annotations: {${annotations}}}
spec: {selector: {matchLabels: {${selector}}}, ${rest}}`;

const YAML = `
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  extensionProviders:
    - {name: gate, envoyExtAuthzHttp: {service: authz.default.svc.cluster.local, port: 9000, timeout: 5s, includeRequestHeadersInCheck: [x-let-in], headersToUpstreamOnAllow: [x-checked]}}
    - {name: guard, envoyExtAuthzGrpc: {service: default/guard, port: 9001, timeout: 5s}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: authz}
spec: {selector: {app: authz}, ports: [{name: http, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: guard}
spec: {selector: {app: guard}, ports: [{name: grpc, port: 9001}]}
---
apiVersion: v1
kind: Service
metadata: {name: bytes}
spec: {selector: {app: bytes}, ports: [{name: tcp, port: 7070}]}
---
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
${policy("allowed", "app: web", `rules: [{to: [{operation: {paths: [/ok*, /denied, /custom*, /dry*, "/items/{*}/name", "/files/{**}"], methods: [GET, "P*"]}}]}, {to: [{operation: {ports: ["80"], paths: [/by-port]}}]}, {to: [{operation: {ports: ["8080"], paths: [/by-bound-port]}}]}]`)}
${policy("denied", "app: web", `action: DENY, rules: [{to: [{operation: {paths: [/denied]}}]}, {from: [{source: {ipBlocks: [127.9.0.0/16], notIpBlocks: [127.9.9.9]}}]}, {from: [{source: {remoteIpBlocks: [203.0.113.0/24]}}]}, {when: [{key: "request.headers[x-secret]", values: ["*"], notValues: [open]}]}]`)}
${policy("asked", "app: web", "action: CUSTOM, provider: {name: gate}, rules: [{to: [{operation: {paths: [/custom*]}}]}]")}
${policy("guarded", "app: web", "action: CUSTOM, provider: {name: guard}, rules: [{to: [{operation: {paths: [/ok/guarded]}}]}]")}
${policy("guarded-bytes", "app: bytes", "action: CUSTOM, provider: {name: guard}, rules: [{from: [{source: {ipBlocks: [127.8.0.0/16]}}]}]")}
${policy("missing", "app: web", "action: CUSTOM, provider: {name: nobody}, rules: [{to: [{operation: {paths: [/ok/custom]}}]}]")}
${policy("tried", "app: web", `action: DENY, rules: [{to: [{operation: {paths: [/dry]}}]}]`, `istio.io/dry-run: "true"`)}
${policy("connections", "app: bytes", "action: DENY, rules: [{from: [{source: {ipBlocks: [127.9.0.0/16]}}], to: [{operation: {methods: [GET]}}]}]")}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: front, namespace: weft-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{to: [{operation: {hosts: [closed.example], ports: ["80"]}}]}]
${deployment("web", "app: web", "ap-northeast-2a", 1, 80)}
${deployment("authz", "app: authz", "ap-northeast-2a", 1, 9000)}
${deployment("guard", "app: guard", "ap-northeast-2a", 1, 9001)}
${deployment("bytes", "app: bytes", "ap-northeast-2a", 1, 7070)}
`;

/** `envoy.service.auth.v3.Authorization`, as bytes: refuses (status 7, PERMISSION_DENIED) what does not say please, and addresses of 127.8.1.0/24. */
async function startGuard(): Promise<{ readonly server: grpc.Server; readonly port: number }> {
  const server = new grpc.Server();
  const bytes = (value: Buffer): Buffer => value;
  const check: grpc.UntypedHandleCall = (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => {
    const asked = call.request.toString("latin1");
    answer(null, asked.includes("please") || asked.includes("127.8.2.") ? Buffer.alloc(0) : Buffer.from("0a020807", "hex"));
  };
  const method = { path: "/envoy.service.auth.v3.Authorization/Check", requestStream: false, responseStream: false };
  const serialization = { requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
  server.addService({ check: { ...method, ...serialization } }, { check });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  return { server, port };
}

let folder = "";
let guard: grpc.Server;
let secured: SecuredMesh;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-authorization-"));
  const started = await startGuard();
  guard = started.server;
  const authz = (incoming: { readonly headers: Readonly<Record<string, unknown>> }) => incoming.headers["x-let-in"] === "please";
  secured = await startSecuredMesh(YAML, 30 + (process.pid % 50), {
    accessLogPath: join(folder, "access.log"),
    running: { "guard-1": started.port },
    applications: { "authz-1": (incoming, outgoing) => outgoing.writeHead(authz(incoming) ? 200 : 403, { "x-checked": "yes" }).end() },
  });
});

afterAll(async () => {
  await secured?.close();
  guard?.forceShutdown();
  if (folder !== "") await rm(folder, { recursive: true, force: true });
});

const statusOf = async (...args: Parameters<typeof askRaw> extends [unknown, ...infer Rest] ? Rest : never): Promise<number> =>
  (await askRaw(secured.inbound("web"), ...args)).status;

describe("an AuthorizationPolicy", () => {
  it.each([
    ["lets through what an ALLOW policy names", "/ok", "GET", 200],
    ["by a prefix", "/ok/more?and=more", "GET", 200],
    ["by a prefix of the method", "/ok", "POST", 200],
    ["refuses what no ALLOW policy names", "/other", "GET", 403],
    ["refuses another method", "/ok", "DELETE", 403],
    ["refuses what a DENY policy names, though an ALLOW policy names it too", "/denied", "GET", 403],
    ["takes a template of one segment", "/items/17/name", "GET", 200],
    ["which is not two", "/items/17/18/name", "GET", 403],
    ["takes a template of any number of segments", "/files/a/b/c", "GET", 200],
    ["knows a port by the number in the YAML", "/by-port", "GET", 200],
    ["and not by the one that it is bound at here", "/by-bound-port", "GET", 403],
  ])("%s", async (_, path, method, status) => {
    expect(await statusOf(path, [], method)).toBe(status);
  });

  it.each([
    ["the address of the connection", [], "127.9.1.1", 403],
    ["but for an exception", [], "127.9.9.9", 200],
    ["the address that the caller says it speaks for", ["x-forwarded-for: 203.0.113.7"], "127.0.0.1", 403],
    ["another such address", ["x-forwarded-for: 198.51.100.7"], "127.0.0.1", 200],
    ["a header", ["x-secret: anything"], "127.0.0.1", 403],
    ["but for one value of it", ["x-secret: open"], "127.0.0.1", 200],
  ])("asks for %s", async (_, headers, source, status) => {
    expect(await statusOf("/ok", headers, "GET", source)).toBe(status);
  });
});

describe("a CUSTOM policy", () => {
  it("asks the authorizer, and passes on what it answers", async () => {
    expect(await statusOf("/custom")).toBe(403);
    const answer = await askRaw(secured.inbound("web"), "/custom", ["x-let-in: please"]);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ headers: { "x-checked": "yes" } });
  });

  it("asks about nothing else", async () => {
    const answer = await askRaw(secured.inbound("web"), "/ok");
    expect(JSON.parse(answer.body).headers["x-checked"]).toBeUndefined();
  });

  it("asks an authorizer that speaks gRPC", async () => {
    expect(await statusOf("/ok/guarded")).toBe(403);
    expect(await statusOf("/ok/guarded", ["x-word: please"])).toBe(200);
  });

  it("asks that one about connections too", async () => {
    expect((await askRaw(secured.inbound("bytes"), "/", [], "GET", "127.8.2.1")).status).toBe(200);
    await expect(askRaw(secured.inbound("bytes"), "/", [], "GET", "127.8.1.1")).rejects.toThrow("the connection ended");
  });

  it("refuses where its provider does not exist", async () => {
    expect(await statusOf("/ok/custom", ["x-let-in: please"])).toBe(403);
  });
});

describe("the access log", () => {
  it("says which rule refused, and what a dry run would have decided that decided nothing", async () => {
    expect(await statusOf("/denied", ["x-request-id: refused"])).toBe(403);
    expect(await statusOf("/dry", ["x-request-id: tried"])).toBe(200);
    const lineOf = (requestId: string) => until("a line of the log", async () => (await logLines()).find((text) => text.includes(`"${requestId}"`)));
    expect(JSON.parse(await lineOf("refused"))).toMatchObject({ details: "rbac_access_denied_matched_policy[ns[default]-policy[denied]-rule[0]]" });
    const [id, result] = ["istio_dry_run_deny_shadow_effective_policy_id", "istio_dry_run_deny_shadow_engine_result"];
    expect(JSON.parse(await lineOf("tried"))).toMatchObject({ dryRun: { [id]: "ns[default]-policy[tried]-rule[0]", [result]: "denied" } });
  });
});

describe("policies of connections", () => {
  it("ignore in a DENY what only requests have", async () => {
    expect((await askRaw(secured.inbound("bytes"), "/anything", [], "GET", "127.0.0.1")).status).toBe(200);
    await expect(askRaw(secured.inbound("bytes"), "/anything", [], "GET", "127.9.0.1")).rejects.toThrow("the connection ended");
  });
});

describe("policies of gateways", () => {
  it("are those of the root namespace that select them, by the ports of their Gateways", async () => {
    expect((await askRaw(secured.gateway(80), "/ok", ["host: open.example"])).status).toBe(200);
    expect((await askRaw(secured.gateway(80), "/ok", ["host: CLOSED.example"])).status).toBe(403);
  });
});

async function logLines(): Promise<readonly string[]> {
  return (await readFile(join(folder, "access.log"), "utf8")).split("\n");
}
