import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deployment } from "../test/mesh-of.ts";
import { overallDecision, stepLines } from "./explain-authorization.ts";
import { explainOffline } from "./explain-offline.ts";
import { parseRequest } from "./explain-request.ts";
import { parseRoutingTests } from "./routing-test-file.ts";
import { runTests } from "./test.ts";

const service = (name: string, port: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [${port}]}`;

const policy = (name: string, app: string, spec: string, annotations = ""): string => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, annotations: {${annotations}}}
spec: {selector: {matchLabels: {app: ${app}}}, ${spec}}`;

const peer = (app: string, mode: string): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${app}}
spec: {selector: {matchLabels: {app: ${app}}}, mtls: {mode: ${mode}}}`;

const YAML = [
  `
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {extensionProviders: [{name: gate, envoyExtAuthzGrpc: {service: default/orders, port: 9090}}]}`,
  service("orders", "{name: http, port: 9090}"),
  service("plain", "{name: http, port: 9090}"),
  service("bytes", "{name: tcp, port: 7070}"),
  policy(
    "readers",
    "orders",
    `rules: [
    {to: [{operation: {paths: [/open/*]}}]},
    {from: [{source: {namespaces: [default], notIpBlocks: [10.0.0.0/8]}}], to: [{operation: {methods: [GET], paths: [/mine]}}]},
    {from: [{source: {requestPrincipals: ["https://issuer.example/*"]}}], to: [{operation: {paths: ["/token/{*}"]}}], when: [{key: "request.auth.claims[roles]", values: [reader]}]}]`,
  ),
  policy("no-admin", "orders", "action: DENY, rules: [{to: [{operation: {paths: [/open/admin/*]}}]}]"),
  policy("asked", "orders", "action: CUSTOM, provider: {name: gate}, rules: [{to: [{operation: {paths: [/open/asked]}}]}]"),
  policy("tried", "orders", "rules: [{to: [{operation: {paths: [/open/tried]}}]}]", `istio.io/dry-run: "true"`),
  policy("known", "plain", "rules: [{from: [{source: {namespaces: [default]}}]}]"),
  peer("plain", "DISABLE"),
  policy("callers", "bytes", `rules: [{from: [{source: {principals: ["*"]}}], to: [{operation: {ports: ["7070"]}}]}]`),
  `
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec: {selector: {matchLabels: {app: orders}}, jwtRules: [{issuer: "https://issuer.example", jwksUri: "https://issuer.example/keys", fromCookies: [session], spaceDelimitedClaims: [roles]}]}`,
  deployment("orders", "app: orders", "eu-1a"),
  deployment("plain", "app: plain", "eu-1a"),
  deployment("bytes", "app: bytes", "eu-1a", 1, 7070),
  deployment("caller", "app: caller", "eu-1a"),
].join("");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-explain-"));
  await writeFile(join(folder, "mesh.yaml"), YAML);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const CLAIMS = { iss: "https://issuer.example", sub: "alice", roles: "writer reader" };

async function explain(url: string, headers: readonly (readonly [string, string])[] = [], claims?: Readonly<Record<string, unknown>>) {
  const options = { from: "caller", header: headers, output: "text", ...(claims === undefined ? {} : { claims }) };
  const { authorization, ruleOrigins = {} } = await explainOffline(parseRequest("GET", url, headers), folder, options);
  const lines = authorization.flatMap((step) => stepLines(step, ruleOrigins)).map((line) => line.replaceAll(`${folder}/`, ""));
  return { decision: overallDecision(authorization), lines };
}

describe("who lets a request in, by the YAML", () => {
  it("is named with policy, rule and line", async () => {
    const { decision, lines } = await explain("http://orders:9090/open/x");
    expect(decision).toBe("allowed");
    expect(lines).toEqual([
      expect.stringMatching(/^orders-1: allowed by AuthorizationPolicy default\/readers, rule\[0\] \(mesh\.yaml:\d+\)$/),
      "called as spiffe://cluster.local/ns/default/sa/default",
      "dry run (ALLOW): would deny it, no rule takes it",
    ]);
  });

  it.each([
    {
      what: "a DENY, in any spelling",
      url: "http://orders:9090/open//Admin;x=1/keys",
      says: "refused with 403 by AuthorizationPolicy default/no-admin, rule[0]",
    },
    { what: "who calls, and from where", url: "http://orders:9090/mine", says: "allowed by AuthorizationPolicy default/readers, rule[1]" },
    { what: "that no rule takes it", url: "http://orders:9090/other", says: "refused with 403: no rule of AuthorizationPolicy default/readers takes it" },
    { what: "that nobody is known in plain text", url: "http://plain:9090/", says: "called in plain text, so that the caller has no identity" },
    { what: "a rule for connections", url: "http://bytes:7070/", says: "bytes-1: allowed by AuthorizationPolicy default/callers, rule[0]" },
    { what: "an authorizer that it does not ask", url: "http://orders:9090/open/asked", says: "not known. It depends on what the authorizer gate answers" },
    { what: "a token's claims", url: "http://orders:9090/token/x", claims: CLAIMS, says: "allowed by AuthorizationPolicy default/readers, rule[2]" },
    { what: "claims that are not enough", url: "http://orders:9090/token/x", claims: { ...CLAIMS, roles: "writer" }, says: "refused with 403: no rule" },
    { what: "an issuer that nobody knows", url: "http://orders:9090/open/x", claims: { iss: "x" }, says: "refused with 401" },
  ])("names $what", async ({ url, claims, says }) => {
    expect((await explain(url, [], claims)).lines.join("\n")).toContain(says);
  });

  it("is not known for a token that nobody has read, wherever a rule looks for one", async () => {
    const says = "not known. It depends on whether the request's token holds; and on the claims of the request's token";
    expect((await explain("http://orders:9090/token/x", [["cookie", "a=b; session=abc"]])).lines[0]).toContain(says);
    expect((await explain("http://orders:9090/token/x", [["authorization", "Bearer abc"]])).lines[0]).toContain("refused with 403: no rule");
  });
});

describe("a routing test", () => {
  it("may expect what the policies decide, with claims", async () => {
    const text = `
tests:
  - {name: open, request: {from: caller, url: "http://orders:9090/open/x"}, expect: {authorization: allowed, policy: default/readers}}
  - {name: admin, request: {from: caller, url: "http://orders:9090/open/admin/x"}, expect: {authorization: denied, policy: default/no-admin}}
  - {name: other, request: {from: caller, url: "http://orders:9090/other"}, expect: {authorization: denied, policy: null}}
  - {name: token, request: {from: caller, url: "http://orders:9090/token/x", claims: ${JSON.stringify(CLAIMS)}}, expect: {authorization: allowed}}
  - {name: asked, request: {from: caller, url: "http://orders:9090/open/asked"}, expect: {authorization: unknown}}
  - {name: wrong, request: {from: caller, url: "http://orders:9090/open/admin/x"}, expect: {authorization: allowed}}
`;
    const { results } = await runTests([parseRoutingTests("authorization.test.yaml", text)], folder);
    expect(results.map(({ name, differences }) => [name, differences])).toEqual([
      ["open", []],
      ["admin", []],
      ["other", []],
      ["token", []],
      ["asked", []],
      ["wrong", [{ field: "authorization", expected: "allowed", actual: "denied" }]],
    ]);
    expect(results.at(-1)?.because.join("\n")).toContain("refused with 403 by AuthorizationPolicy default/no-admin, rule[0]");
  });
});
