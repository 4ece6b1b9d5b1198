// Ways around a policy, tried on real Envoys: paths that a policy reads otherwise than a program, and headers that only a proxy may write.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { deployment } from "../../control-plane/test/mesh-of.ts";
import type { RawAnswer } from "./peers.ts";
import { askRaw, type SecuredMesh, startSecuredMesh } from "./secured-mesh.ts";

const service = (name: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 9090}]}
${deployment(name, `app: ${name}`, "ap-northeast-2a")}`;

const YAML = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  selector: {matchLabels: {app: denying}}
  action: DENY
  rules: [{to: [{operation: {paths: [/admin, /admin/*]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-public}
spec:
  selector: {matchLabels: {app: allowing}}
  rules: [{to: [{operation: {paths: [/public/*]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all-but-admin}
spec:
  selector: {matchLabels: {app: excepting}}
  rules: [{to: [{operation: {notPaths: [/admin, /admin/*]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: by-method}
spec:
  selector: {matchLabels: {app: elsewhere}}
  action: DENY
  rules: [{to: [{operation: {methods: [DELETE]}}, {operation: {hosts: [closed.example]}}]}]
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
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: elsewhere}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: weft-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{to: [{operation: {paths: [/admin, /admin/*]}}]}]
${["denying", "allowing", "excepting", "elsewhere"].map(service).join("")}
`;

const echoed = z.object({ url: z.string(), headers: z.record(z.string(), z.string()) });
let secured: SecuredMesh;

beforeAll(async () => {
  secured = await startSecuredMesh(YAML, 80 + (process.pid % 50));
});

afterAll(() => secured?.close());

function received(answer: RawAnswer): z.output<typeof echoed> {
  expect(answer.status, answer.body).toBe(200);
  return echoed.parse(JSON.parse(answer.body));
}

/** Other ways to write `/admin/keys`, as a program might read it. */
const SAME_PATH: readonly (readonly [how: string, path: string])[] = [
  ["as it is", "/admin/keys"],
  ["with a query", "/admin/keys?x=/public/"],
  ["with a fragment", "/admin/keys#/public/"],
  ["with two slashes", "//admin//keys"],
  ["with a segment that goes back", "/public/../admin/keys"],
  ["with a segment that stays", "/./admin/./keys"],
  ["with a path parameter on a segment that goes back", "/public/..;/admin/keys"],
  ["with encoded letters", "/%61dmin/keys"],
  ["with encoded dots", "/public/%2e%2e/admin/keys"],
  ["with encoded dots in capitals", "/public/%2E%2E/admin/keys"],
  ["with an encoded slash", "/admin%2Fkeys"],
  ["with an encoded slash in small letters", "/admin%2fkeys"],
  ["with an encoded slash before dots", "/public%2F..%2Fadmin/keys"],
  ["with a backslash", "/public\\..\\admin\\keys"],
  ["with an encoded backslash", "/public%5C..%5Cadmin%5Ckeys"],
  ["in other letters", "/ADMIN/keys"],
  ["with encoded capitals", "/%41dmin/keys"],
  ["with a path parameter", "/admin;x=1/keys"],
  ["with an empty path parameter", "/admin;/keys"],
  ["with a path parameter on a segment without a name", "/;x/admin/keys"],
  ["with an encoded slash after a path parameter", "/Admin;x=1%2Fkeys"],
];

describe("a DENY on a path", () => {
  it.each(SAME_PATH)("holds where the path is written %s", async (_, path) => {
    expect((await askRaw(secured.inbound("denying"), path)).status).not.toBe(200);
    expect((await askRaw(secured.gateway(80), path)).status).not.toBe(200);
  });

  it("holds where the target is a whole URL", async () => {
    expect((await askRaw(secured.inbound("denying"), "http://web/admin/keys")).status).not.toBe(200);
  });

  it("holds for the path itself too, in other letters and with a parameter", async () => {
    expect((await askRaw(secured.inbound("denying"), "/Admin;jsessionid=1")).status).toBe(403);
    expect((await askRaw(secured.inbound("denying"), "/administrator")).status).toBe(200);
  });

  // An escape is undone once, as HTTP says. A program that undoes it twice needs an ALLOW policy.
  it("does not hold where the path is encoded twice", async () => {
    expect(received(await askRaw(secured.inbound("denying"), "/%2561dmin/keys")).url).toBe("/%2561dmin/keys");
  });
});

describe("an exception of an ALLOW", () => {
  it.each([...SAME_PATH])("lets nothing through that is written %s", async (_, path) => {
    expect((await askRaw(secured.inbound("excepting"), path)).status).not.toBe(200);
  });

  it("excepts nothing else", async () => {
    expect((await askRaw(secured.inbound("excepting"), "/administrator")).status).toBe(200);
  });
});

describe("an ALLOW of a path", () => {
  const others: typeof SAME_PATH = [
    ["in other letters", "/PUBLIC/../ADMIN/keys"],
    ["with path parameters", "/public;x/../admin/keys"],
    ["encoded twice", "/public%252f..%252fadmin/keys"],
  ];
  it.each([...SAME_PATH, ...others])("lets nothing else through, written %s", async (_, path) => {
    expect((await askRaw(secured.inbound("allowing"), path)).status).not.toBe(200);
  });

  it("gives the program the path that the policy saw", async () => {
    expect(received(await askRaw(secured.inbound("allowing"), "//public%2Fa//./b?q=%2F")).url).toBe("/public/a/b?q=%2F");
  });
});

describe("a path where no policy asks for it", () => {
  it("reaches the program as it was sent, but for dots", async () => {
    expect(received(await askRaw(secured.inbound("elsewhere"), "//a%2Fb//c/../d")).url).toBe("//a%2Fb//d");
  });
});

describe("headers that only proxies may write", () => {
  it.each([
    ["x-weft-pick: 1", "x-weft-pick"],
    ["x-weft-retry: unsent", "x-weft-retry"],
    ["X-Weft-Anything: 1", "x-weft-anything"],
    ["x-envoy-original-path: /public", "x-envoy-original-path"],
    ["x-envoy-decorator-operation: other", "x-envoy-decorator-operation"],
    ["x-envoy-internal: true", "x-envoy-internal"],
    ["x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin", "x-forwarded-client-cert"],
  ])("are taken from a client of a gateway: %s", async (header, name) => {
    expect(received(await askRaw(secured.gateway(80), "/", [header])).headers[name]).toBeUndefined();
  });

  it("let a client of a gateway neither shorten nor repeat what is tried, nor speak for another address", async () => {
    const smuggled = ["x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-max-retries: 9", "x-envoy-retry-on: 5xx", "x-forwarded-for: 10.0.0.1"];
    const { headers } = received(await askRaw(secured.gateway(80), "/", smuggled, "GET", "127.0.0.5"));
    // The proxy's own word.
    expect(Object.entries(headers).filter(([name]) => name.startsWith("x-envoy"))).toEqual([["x-envoy-external-address", "127.0.0.5"]]);
    expect(headers["x-forwarded-for"]).toMatch(/127\.0\.0\.5$/);
  });

  it.each([
    ["a length beside chunks", ["content-length: 4", "transfer-encoding: chunked"]],
    ["two lengths", ["content-length: 4", "content-length: 5"]],
    ["a name with a space", ["x-a : 1"]],
  ])("refuses a request that two readers could read in two ways: %s", async (_, headers) => {
    const answer = await askRaw(secured.inbound("denying"), "/", headers, "POST");
    expect(answer.status).toBe(400);
  });
});

describe("a DENY on a host", () => {
  it("holds in other letters", async () => {
    expect((await askRaw(secured.inbound("elsewhere"), "/", ["host: CLOSED.example"])).status).toBe(403);
  });

  it("sees two hosts as the program does: as one name, of no host", async () => {
    expect(received(await askRaw(secured.inbound("elsewhere"), "/", ["host: open.example", "host: closed.example"])).headers.host).toBe(
      "open.example,closed.example",
    );
  });

  // The port and the dot are part of the name that a policy asks for: `closed.example*` covers both.
  it.each(["closed.example:9090", "closed.example."])("does not hold for %s, as in Istio", async (host) => {
    expect(received(await askRaw(secured.inbound("elsewhere"), "/", [`host: ${host}`])).headers.host).toBe(host);
  });
});
