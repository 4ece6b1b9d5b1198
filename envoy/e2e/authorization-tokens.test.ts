// RequestAuthentications in real Envoys: tokens that hold and tokens that do not, keys in the policy and keys fetched, and what a program gets of a token.
import { createServer, type Server } from "node:http";
import { base64url, type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { deployment } from "../../control-plane/test/mesh-of.ts";
import { until } from "./mesh.ts";
import type { RawAnswer } from "./peers.ts";
import { askRaw, type SecuredMesh, startSecuredMesh } from "./secured-mesh.ts";

const ISSUER = "https://issuer.example";
const REMOTE = "https://remote.example";
const elliptic = await generateKeyPair("ES256");
const rsa = await generateKeyPair("RS256", { extractable: true });
const stranger = await generateKeyPair("ES256");
const remote = await generateKeyPair("ES256");
const publicJwk = async (key: CryptoKey, kid: string, alg: string) => ({ ...(await exportJWK(key)), kid, alg, use: "sig" });
const JWKS = JSON.stringify({ keys: [await publicJwk(elliptic.publicKey, "one", "ES256"), await publicJwk(rsa.publicKey, "two", "RS256")] });
const REMOTE_JWKS = JSON.stringify({ keys: [await publicJwk(remote.publicKey, "far", "ES256")] });

const yaml = (keyPort: number): string => `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 9090}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: web}}
  jwtRules:
    - issuer: ${ISSUER}
      audiences: [shop, store]
      jwks: '${JWKS}'
      forwardOriginalToken: true
      outputPayloadToHeader: x-payload
      outputClaimToHeaders: [{header: x-user, claim: sub}, {header: x-inner, claim: outer.inner}]
      spaceDelimitedClaims: [roles]
    - issuer: ${REMOTE}
      jwksUri: http://127.0.0.1:${keyPort}/keys
      fromHeaders: [{name: x-token, prefix: "Token "}]
      fromParams: [token]
      fromCookies: [session]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: broken}
spec:
  selector: {matchLabels: {app: broken}}
  jwtRules: [{issuer: ${ISSUER}, jwks: "no keys at all"}, {issuer: ${REMOTE}, jwksUri: "https://127.0.0.1:${keyPort}/keys"}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: web}}
  rules:
    - to: [{operation: {paths: [/open*]}}]
    - {from: [{source: {requestPrincipals: ["${ISSUER}/alice"]}}], to: [{operation: {paths: [/alice]}}]}
    - {from: [{source: {requestPrincipals: ["*"]}}], to: [{operation: {paths: [/anyone]}}]}
    - {to: [{operation: {paths: [/admin]}}], when: [{key: "request.auth.claims[outer][group]", values: [admin]}]}
    - {to: [{operation: {paths: [/reader]}}], when: [{key: "request.auth.claims[roles]", values: [reader]}]}
    - {to: [{operation: {paths: [/store]}}], when: [{key: "request.auth.audiences", values: [store]}]}
    - {to: [{operation: {paths: [/presented]}}], when: [{key: "request.auth.presenter", values: [app]}]}
${deployment("web", "app: web", "ap-northeast-2a")}
${deployment("broken", "app: broken", "ap-northeast-2a", 1, 7070)}
`;

const echoed = z.object({ url: z.string(), headers: z.record(z.string(), z.string()) });
let keyServer: Server;
let fetches = 0;
let secured: SecuredMesh;

beforeAll(async () => {
  keyServer = createServer((_, outgoing) => {
    fetches += 1;
    outgoing.writeHead(200, { "content-type": "application/json" }).end(REMOTE_JWKS);
  });
  await new Promise<void>((resolve) => keyServer.listen(0, "127.0.0.1", resolve));
  const address = keyServer.address();
  secured = await startSecuredMesh(yaml(typeof address === "object" && address !== null ? address.port : 0), 130 + (process.pid % 50));
});

afterAll(async () => {
  await secured?.close();
  keyServer?.closeAllConnections();
  keyServer?.close();
});

/** A token of the issuer whose keys stand in the policy. */
function token(claims: JWTPayload = {}, key: CryptoKey = elliptic.privateKey, header = { alg: "ES256", kid: "one" }): Promise<string> {
  const whole = { iss: ISSUER, sub: "alice", aud: "shop", exp: Math.floor(Date.now() / 1_000) + 600, ...claims };
  return new SignJWT(whole).setProtectedHeader(header).sign(key);
}

function remoteToken(): Promise<string> {
  return token({ iss: REMOTE, sub: "bob" }, remote.privateKey, { alg: "ES256", kid: "far" });
}

async function askWith(path: string, bearer: string | undefined, headers: readonly string[] = []): Promise<RawAnswer> {
  return askRaw(secured.inbound("web"), path, [...(bearer === undefined ? [] : [`authorization: Bearer ${bearer}`]), ...headers]);
}

function received(answer: RawAnswer): z.output<typeof echoed> {
  expect(answer.status, answer.body).toBe(200);
  return echoed.parse(JSON.parse(answer.body));
}

describe("a token", () => {
  it("need not be there", async () => {
    expect((await askWith("/open", undefined)).status).toBe(200);
    expect((await askWith("/anyone", undefined)).status).toBe(403);
  });

  it.each([
    ["of one of its subjects", "/alice", {}, 200],
    ["of another subject", "/alice", { sub: "mallory" }, 403],
    ["of any subject", "/anyone", { sub: "mallory" }, 200],
    ["without a subject", "/anyone", { sub: "" }, 403],
    ["with a claim in a claim", "/admin", { outer: { group: ["user", "admin"] } }, 200],
    ["with another value of it", "/admin", { outer: { group: ["user"] } }, 403],
    ["with a value among others, spaces between them", "/reader", { roles: "writer reader" }, 200],
    ["for one of several audiences", "/store", { aud: ["store", "else"] }, 200],
    ["for another audience", "/store", { aud: "shop" }, 403],
    ["that a certain client presents", "/presented", { azp: "app" }, 200],
  ])("gives a policy its claims: %s", async (_, path, claims, status) => {
    expect((await askWith(path, await token(claims))).status).toBe(status);
  });

  it("may be signed by any key of the set", async () => {
    expect((await askWith("/alice", await token({}, rsa.privateKey, { alg: "RS256", kid: "two" }))).status).toBe(200);
  });
});

describe("a token that does not hold", () => {
  const now = Math.floor(Date.now() / 1_000);
  const unsigned = (header: object): string =>
    `${base64url.encode(JSON.stringify(header))}.${base64url.encode(JSON.stringify({ iss: ISSUER, sub: "alice", aud: "shop" }))}.`;
  const cases: readonly (readonly [what: string, make: () => Promise<string> | string])[] = [
    ["is expired", () => token({ exp: now - 3_600 })],
    ["is not valid yet", () => token({ nbf: now + 3_600 })],
    ["is of an issuer that nobody knows", () => token({ iss: "https://stranger.example" })],
    ["is signed by a stranger's key under a known name", () => token({}, stranger.privateKey)],
    ["is signed by a key of another name", () => token({}, elliptic.privateKey, { alg: "ES256", kid: "three" })],
    ["is signed by a key of the set under the name of another", () => token({}, elliptic.privateKey, { alg: "ES256", kid: "two" })],
    ["is signed by another issuer's key", () => token({}, remote.privateKey, { alg: "ES256", kid: "far" })],
    ["is unsigned: alg none", () => unsigned({ alg: "none", kid: "one" })],
    ["is unsigned: alg NONE", () => unsigned({ alg: "NONE", kid: "one" })],
    ["is unsigned: no alg", () => unsigned({ kid: "one" })],
    ["is signed with a public key as if it were a shared secret", () => hmacWith("spki")],
    ["is signed with a key of the set, as JSON, as if it were a shared secret", () => hmacWith("jwk")],
    ["has been changed after it was signed", async () => changed(await token({ sub: "mallory" }))],
    ["has lost its signature", async () => `${(await token()).split(".").slice(0, 2).join(".")}.`],
    ["is no token", () => "nonsense"],
    ["brings its own key", () => bringingItsKey()],
  ];

  it.each(cases)("is answered 401 even where none is asked for: it %s", async (_, make) => {
    const answer = await askWith("/open", await make());
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toContain("Bearer");
  });

  // Envoy's answer, and so Istio's: the token is genuine, and for somebody else.
  it.each([
    ["another audience", { aud: "elsewhere" }],
    ["no audience", { aud: [] }],
  ])("is answered 403 where it is for %s", async (_, claims) => {
    expect((await askWith("/open", await token(claims))).status).toBe(403);
  });

  // Providers that look at the same place would refuse each other's tokens, so that, as in Istio, one that holds is enough.
  it("is outweighed by one that does, in another place, and its claims count for nothing", async () => {
    const expired = await token({ exp: now - 3_600 });
    const headers = [`x-token: Token ${await remoteToken()}`];
    expect((await askWith("/anyone", expired, headers)).status).toBe(200);
    expect((await askWith("/alice", expired, headers)).status).toBe(403);
  });

  it("is every token where the keys cannot be read", async () => {
    const headers = [`authorization: Bearer ${await token()}`];
    expect((await askRaw(secured.inbound("broken"), "/", headers)).status).toBe(401);
    expect((await askRaw(secured.inbound("broken"), "/")).status).toBe(200);
  });

  /** Key confusion: what everybody may know of a key pair, taken for a secret. */
  async function hmacWith(form: "spki" | "jwk"): Promise<string> {
    const known =
      form === "jwk" ? Buffer.from(JSON.stringify(await exportJWK(rsa.publicKey))) : Buffer.from(await crypto.subtle.exportKey("spki", rsa.publicKey));
    return new SignJWT({ iss: ISSUER, sub: "alice", aud: "shop" }).setProtectedHeader({ alg: "HS256", kid: "two" }).setExpirationTime("1h").sign(known);
  }

  function changed(signed: string): string {
    const [header, , signature] = signed.split(".");
    return [header, base64url.encode(JSON.stringify({ iss: ISSUER, sub: "alice", aud: "shop", exp: now + 600 })), signature].join(".");
  }

  async function bringingItsKey(): Promise<string> {
    const jwk = await exportJWK(stranger.publicKey);
    return new SignJWT({ iss: ISSUER, sub: "alice", aud: "shop" })
      .setProtectedHeader({ alg: "ES256", kid: "one", jwk })
      .setExpirationTime("1h")
      .sign(stranger.privateKey);
  }
});

describe("keys that are fetched", () => {
  it.each([
    ["a header with a prefix", async () => askWith("/anyone", undefined, [`x-token: Token ${await remoteToken()}`])],
    ["a parameter", async () => askWith(`/anyone?token=${await remoteToken()}`, undefined)],
    ["a cookie", async () => askWith("/anyone", undefined, [`cookie: a=b; session=${await remoteToken()}`])],
  ])("make tokens hold that come in %s", async (_, send) => {
    await until("the keys are fetched", async () => (await send()).status === 200);
  });

  it("are fetched before the first token comes, and kept", async () => {
    const before = fetches;
    expect(before).toBeGreaterThan(0);
    for (let i = 0; i < 5; i++) expect((await askWith("/anyone", undefined, [`x-token: Token ${await remoteToken()}`])).status).toBe(200);
    expect(fetches).toBe(before);
  });

  it("are not taken from a server that has no certificate of a public authority", async () => {
    const headers = [`authorization: Bearer ${await remoteToken()}`];
    expect((await askRaw(secured.inbound("broken"), "/", headers)).status).toBe(401);
    expect(secured.served.refusals).toEqual([]);
  });

  it("hold only where their tokens are looked for", async () => {
    expect((await askWith("/anyone", await remoteToken())).status).not.toBe(200);
  });
});

describe("a program", () => {
  it("gets the token, its payload and its claims where a policy says so", async () => {
    const bearer = await token({ outer: { inner: "deep" } });
    const { headers } = received(await askWith("/alice", bearer));
    expect(headers).toMatchObject({ authorization: `Bearer ${bearer}`, "x-user": "alice", "x-inner": "deep" });
    expect(JSON.parse(Buffer.from(headers["x-payload"] ?? "", "base64url").toString())).toMatchObject({ iss: ISSUER, sub: "alice" });
  });

  it("does not get a token that is not to be passed on", async () => {
    const { headers, url } = received(await askWith(`/anyone?token=${await remoteToken()}&a=b`, undefined));
    expect(headers.authorization).toBeUndefined();
    expect(url).not.toContain("token=");
  });

  it("gets none of those headers from a client", async () => {
    const forged = ["x-user: admin", "x-inner: forged", `x-payload: ${base64url.encode(JSON.stringify({ sub: "admin" }))}`];
    for (const bearer of [undefined, await token()]) {
      const { headers } = received(await askWith("/open", bearer, forged));
      expect(headers["x-user"]).toBe(bearer === undefined ? undefined : "alice");
      expect(headers["x-inner"]).toBeUndefined();
      expect(headers["x-payload"]).not.toBe(forged[2]?.slice("x-payload: ".length));
    }
  });
});
