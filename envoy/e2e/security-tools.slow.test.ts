// Security in a mesh that `weft up` runs, with real programs: what `weft explain` says of each request is what then happens to it, off-line and live; AUDIT and dry
// runs are told about; routes ask for claims; `weft cert` lists and renews.
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { connect } from "node:tls";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRoot, issueLeaf } from "../../control-plane/ca/certificates.ts";
import { explainOffline } from "../../control-plane/cli/explain-offline.ts";
import { parseRequest } from "../../control-plane/cli/explain-request.ts";
import { explainText } from "../../control-plane/cli/explain-text.ts";
import { PLAIN } from "../../control-plane/cli/style.ts";
import { MESHES, startMesh, type TestMesh, until } from "./mesh.ts";

const ISSUER = "https://issuer.example";
const keys = await generateKeyPair("ES256");
const JWKS = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" }] });
const certificate = await issueLeaf(await createRoot(1, Date.now()), {
  uri: "spiffe://test/x",
  dnsNames: ["front.example"],
  nowMs: Date.now(),
  lifetimeMs: 3_600_000,
});
const ECHO = "selector: {matchLabels: {app: echo}}";

const policy = (name: string, spec: string, annotations = ""): string => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, annotations: {${annotations}}}
spec: {${ECHO}, ${spec}}`;

const tokens = (name: string, namespace: string, selector: string): string => `
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: ${name}, namespace: ${namespace}}
spec: {selector: {matchLabels: {${selector}}}, jwtRules: [{issuer: "${ISSUER}", audiences: [shop], jwks: '${JWKS}', forwardOriginalToken: true}]}`;

const POLICIES = [
  policy(
    "readers",
    `rules: [
    {to: [{operation: {paths: [/open/*, /gate/*]}}]},
    {from: [{source: {serviceAccounts: [default/default]}}], to: [{operation: {paths: [/mine], methods: [GET]}}]},
    {from: [{source: {principals: [cluster.local/ns/default/sa/other]}}], to: [{operation: {paths: [/theirs]}}]},
    {from: [{source: {requestPrincipals: ["${ISSUER}/alice"]}}], to: [{operation: {paths: [/token]}}]}]`,
  ),
  policy("no-admin", "action: DENY, rules: [{to: [{operation: {paths: [/open/admin/*]}}]}]"),
  policy("noted", "action: AUDIT, rules: [{to: [{operation: {paths: [/open/noted]}}]}]"),
  policy("tried", "action: DENY, rules: [{to: [{operation: {paths: [/open/tried]}}]}]", `istio.io/dry-run: "true"`),
  tokens("echo", "default", "app: echo"),
  tokens("gateway", "weft-system", "istio: ingressgateway"),
  `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}, {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: front}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: front}
type: kubernetes.io/tls
stringData: ${JSON.stringify({ "tls.crt": certificate.chainPem, "tls.key": certificate.privateKey.reveal() })}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec: {host: echo, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
    - {name: testers, match: [{headers: {"@request.auth.claims.groups": {exact: testers}}}], route: [{destination: {host: echo, subset: v2}}]}
    - {name: others, route: [{destination: {host: echo, subset: v1}}]}
`,
].join("");

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startMesh(join(MESHES, "echo"), { prepare: (folder) => writeFile(join(folder, "policies.yaml"), POLICIES) });
});

afterAll(() => mesh?.close());

interface Answer {
  readonly status: number;
  readonly version: string;
}

function ask(url: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname } = new URL(url);
    request({ hostname, port, path: pathname, method, headers, agent: false }, (incoming) =>
      incoming.resume().once("end", () => resolve({ status: incoming.statusCode ?? 0, version: String(incoming.headers["x-version"] ?? "") })),
    )
      .once("error", reject)
      .end();
  });
}

async function bearer(claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return new SignJWT({ iss: ISSUER, sub: "alice", aud: "shop", ...claims })
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setExpirationTime("1h")
    .sign(keys.privateKey);
}

function caller() {
  const found = mesh.ready.workloads.find(({ workload }) => workload === "caller");
  const url = found?.services["echo.default.svc.cluster.local:80"];
  if (found === undefined || url === undefined) throw new Error("nobody calls echo");
  return { ...found, url };
}

function echo(version: string) {
  const found = mesh.ready.workloads.find(({ workload }) => workload === `echo-${version}`);
  if (found === undefined) throw new Error("no echo");
  return found;
}

describe("weft explain", () => {
  const claims = { iss: ISSUER, sub: "alice", aud: "shop" };
  it.each([
    { what: "a rule that allows", path: "/open/x", status: 200, says: "allowed by AuthorizationPolicy default/readers, rule[0]" },
    { what: "a rule that refuses", path: "/open/admin/x", status: 403, says: "refused with 403 by AuthorizationPolicy default/no-admin, rule[0]" },
    { what: "a rule that asks who calls", path: "/mine", status: 200, says: "allowed by AuthorizationPolicy default/readers, rule[1]" },
    { what: "that no rule allows it", path: "/theirs", status: 403, says: "refused with 403: no rule of AuthorizationPolicy default/readers takes it" },
    { what: "a rule that asks for a token", path: "/token", claims, status: 200, says: "allowed by AuthorizationPolicy default/readers, rule[3]" },
    {
      what: "that a token is not enough",
      path: "/token",
      claims: { ...claims, sub: "bob" },
      status: 403,
      says: "no rule of AuthorizationPolicy default/readers",
    },
    {
      what: "an issuer that nobody knows",
      path: "/open/x",
      claims: { ...claims, iss: "https://x" },
      status: 401,
      says: "refused with 401: no RequestAuthentication",
    },
    {
      what: "an audience that is another's",
      path: "/open/x",
      claims: { ...claims, aud: "x" },
      status: 403,
      says: "refused with 403: the token is for another",
    },
  ])("names $what, off-line and live, and that is what happens", async ({ path, claims: given, status, says }) => {
    const headers = given === undefined ? {} : { authorization: `Bearer ${await bearer(given)}` };
    expect((await ask(`${caller().url}${path}`, headers)).status).toBe(status);
    const asked = parseRequest("GET", `http://echo${path}`, []);
    const options = { from: "caller", header: [], output: "text", ...(given === undefined ? {} : { claims: given }) };
    const offline = explainText(await explainOffline(asked, mesh.folder, options), PLAIN);
    expect(offline).toContain(says);
    const arguments_ = given === undefined ? [] : ["--claims", JSON.stringify(given)];
    const live = await mesh.weft("explain", "--live", "--from", "caller", "GET", `http://echo${path}`, ...arguments_);
    expect(live.stdout, live.stderr).toContain(says);
    const known = "called as spiffe://cluster.local/ns/default/sa/default";
    expect([offline, live.stdout].map((text) => text.includes(known))).toEqual([true, true]);
  });

  it("says what it cannot know: a token's claims, unless they are given", async () => {
    const asked = parseRequest("GET", "http://echo/token", [["authorization", `Bearer ${await bearer()}`]]);
    const { authorization } = await explainOffline(asked, mesh.folder, { from: "caller", header: [], output: "text" });
    expect(authorization[0]?.admission).toMatchObject({
      decision: "unknown",
      dependsOn: ["whether the request's token holds", "the claims of the request's token"],
    });
  });

  it("follows a request through a gateway, by the claims that its routes ask for", async () => {
    const asked = parseRequest("GET", "http://localhost/gate/x", []);
    const explain = (groups: string) =>
      explainOffline(asked, mesh.folder, { from: "ingressgateway", header: [], output: "text", claims: { ...claims, groups: [groups] } });
    expect((await explain("testers")).virtualService?.route).toBe("testers");
    const { virtualService, authorization } = await explain("staff");
    expect([virtualService?.route, authorization.map(({ at }) => at)]).toEqual(["others", [["istio=ingressgateway"], ["echo-v1-1"]]]);
  });
});

describe("a gateway", () => {
  it("routes by the claims of a token that holds", async () => {
    const url = `${mesh.ready.gateways[0]?.ports[0]?.url}/gate/x`;
    const versionFor = async (token: string | undefined) => ask(url, token === undefined ? {} : { authorization: `Bearer ${token}` });
    expect(await versionFor(await bearer({ groups: ["testers", "staff"] }))).toEqual({ status: 200, version: "v2" });
    expect(await versionFor(await bearer({ groups: "testers" }))).toEqual({ status: 200, version: "v2" });
    expect(await versionFor(await bearer({ groups: ["staff"] }))).toEqual({ status: 200, version: "v1" });
    expect(await versionFor(undefined)).toEqual({ status: 200, version: "v1" });
    expect((await versionFor((await bearer({ groups: ["testers"] })).replace(/\.[^.]*$/, ".AAAA"))).status).toBe(401);
  });
});

describe("AUDIT and dry runs", () => {
  async function lineOf(path: string): Promise<Readonly<Record<string, unknown>>> {
    const line = await until(`a line about ${path}`, async () =>
      (await readFile(echo("v1").accessLog, "utf8")).split("\n").find((text) => text.includes(path)),
    );
    return JSON.parse(line);
  }

  async function counters(): Promise<Readonly<Record<string, number>>> {
    const text = await (await fetch(`${echo("v1").sidecar.admin}/stats?filter=rbac`)).text();
    return Object.fromEntries(text.split("\n").flatMap((line) => (line.includes(": ") ? [[line.split(": ")[0] ?? "", Number(line.split(": ")[1])]] : [])));
  }

  it("decide nothing, stand in the access log, and are counted", async () => {
    const before = await counters();
    for (const path of ["/open/noted", "/open/tried", "/open/plain"]) expect((await ask(`${caller().url}${path}`)).status).toBe(200);
    expect(await lineOf("/open/noted")).toMatchObject({ audited: true });
    expect(await lineOf("/open/plain")).toMatchObject({ audited: false });
    expect(await lineOf("/open/tried")).toMatchObject({
      audited: false,
      dryRun: {
        istio_dry_run_deny_shadow_effective_policy_id: "ns[default]-policy[tried]-rule[0]",
        istio_dry_run_deny_shadow_engine_result: "denied",
      },
    });
    const name = "http.inbound|8080.rbac.istio_dry_run_deny_.shadow_denied";
    await until("the dry run is counted", async () => {
      const after = await counters();
      expect([name, after[name]]).toEqual([name, (before[name] ?? 0) + 1]);
      return true;
    });
  });

  it("are named by explain", async () => {
    const { stdout } = await mesh.weft("explain", "--live", "--from", "caller", "GET", "http://echo/open/tried");
    expect(stdout).toContain("dry run (DENY): would deny it, by AuthorizationPolicy default/tried, rule[0]");
    const noted = await mesh.weft("explain", "--live", "--from", "caller", "GET", "http://echo/open/noted");
    expect(noted.stdout).toContain("audited by AuthorizationPolicy default/noted, rule[0]");
  });
});

describe("a Secret's key", () => {
  // Everything else that the mesh says, answers and leaves behind is searched when it is closed.
  it("is in use, and shown by nothing", async () => {
    const { url = "" } = mesh.ready.gateways[0]?.ports.find(({ number }) => number === 443) ?? {};
    const subject = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: new URL(url).hostname, port: Number(new URL(url).port), servername: "front.example", rejectUnauthorized: false }, () =>
        resolve(String(socket.getPeerCertificate().subjectaltname)),
      );
      socket.once("error", reject);
    });
    expect(subject).toContain("front.example");
    for (const format of ["yaml", "json"])
      expect((await mesh.weft("get", "secret", "front", "-o", format)).stdout).not.toContain(certificate.privateKey.reveal().split("\n")[1]);
    expect((await mesh.weft("proxy-config", "listeners", "ingressgateway", "-o", "json")).code).toBe(0);
  });
});

describe("weft cert", () => {
  const rows = async (...args: readonly string[]): Promise<readonly Readonly<Record<string, string>>[]> => {
    const { stdout, stderr, code } = await mesh.weft("cert", "show", ...args, "-o", "json");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain("PRIVATE");
    return JSON.parse(stdout);
  };

  it("shows the roots and what each proxy proves itself with", async () => {
    const all = await rows();
    expect(all.filter(({ kind }) => kind === "root").map(({ name }) => name)).toEqual(["root 1"]);
    expect(await rows("echo-v1")).toMatchObject([{ kind: "proxy", subject: "spiffe://cluster.local/ns/default/sa/default", state: "in use" }]);
  });

  it("renews certificates, and the root, while requests go on", async () => {
    const serialOf = async () => (await rows("echo-v1"))[0]?.serial;
    const first = await serialOf();
    let asking = true;
    const statuses: number[] = [];
    const load = (async () => {
      while (asking) statuses.push((await ask(`${caller().url}/open/load`)).status);
    })();
    expect((await mesh.weft("cert", "rotate")).stdout).toMatch(/^\d+ proxies get new certificates/);
    await until("the proxy has another certificate", async () => ((await serialOf()) !== first ? true : undefined));
    expect((await mesh.weft("cert", "rotate", "--root")).stdout).toMatch(/^root 2 is announced/);
    await until(
      "only the new root is left",
      async () => {
        const roots = (await rows()).filter(({ kind }) => kind === "root");
        return roots.length === 1 && roots[0]?.name === "root 2" ? true : undefined;
      },
      60_000,
    );
    asking = false;
    await load;
    expect([new Set(statuses), statuses.length > 20]).toEqual([new Set([200]), true]);
  });
});

describe("the search for private keys when a mesh is closed", () => {
  it("fails where one has got into a log", async () => {
    const leaking = await startMesh(join(MESHES, "echo"));
    await appendFile(leaking.ready.controlPlane.log, `${JSON.stringify({ msg: "a certificate was issued", key: certificate.privateKey.reveal() })}\n`);
    await expect(leaking.close()).rejects.toThrow("private key leaked");
    await rm(dirname(leaking.folder), { recursive: true, force: true });
  });
});
