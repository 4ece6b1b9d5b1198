// Tokens of proxies: JWTs, signed with a key of the mesh's own, that say which proxy of which service account calls the control plane.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { SecretText } from "../model/secret.ts";
import { AuthenticationRefused, type Peer } from "../xds/authentication.ts";
import { readPrivateFile, writePrivateFileOnce } from "./private-file.ts";
import type { WorkloadIdentity } from "./spiffe.ts";

/** Whom a token is for. */
export const TOKEN_AUDIENCE = "weft-xds";
const ISSUER = "weft";
const ALGORITHM = "ES256";

/** Signs and verifies. The private half is in nobody's hands but the runner's and the control plane's. */
export interface TokenKey {
  readonly id: string;
  readonly key: KeyObject;
}

const keptKey = z.object({ version: z.literal(1), privateKey: z.string() });

/** The key in this file, made if there is none. Runner and control plane may both be first: they end up with the same. */
export async function loadTokenKey(path: string): Promise<TokenKey> {
  const text = (await readPrivateFile(path)) ?? (await writePrivateFileOnce(path, newKeyText()));
  try {
    const key = createPrivateKey(keptKey.parse(JSON.parse(text)).privateKey);
    const id = createHash("sha256")
      .update(createPublicKey(key).export({ format: "der", type: "spki" }))
      .digest("hex")
      .slice(0, 16);
    return { id, key };
  } catch {
    throw new Error(`${path} does not hold a key for tokens. Fix: delete it; proxies get new tokens`);
  }
}

function newKeyText(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return `${JSON.stringify({ version: 1, privateKey: privateKey.export({ format: "pem", type: "pkcs8" }) })}\n`;
}

export interface TokenClaims extends WorkloadIdentity {
  readonly proxyId: string;
  /** Milliseconds of the Unix epoch. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** Default: {@link TOKEN_AUDIENCE}. */
  readonly audience?: string;
}

/** `sub` is `namespace/serviceaccount/proxy id`. */
export async function mintToken({ id, key }: TokenKey, claims: TokenClaims): Promise<SecretText> {
  const { namespace, serviceAccount, proxyId, issuedAtMs, expiresAtMs, audience = TOKEN_AUDIENCE } = claims;
  const token = await new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, kid: id, typ: "JWT" })
    .setIssuer(ISSUER)
    .setSubject(`${namespace}/${serviceAccount}/${proxyId}`)
    .setAudience(audience)
    .setIssuedAt(Math.floor(issuedAtMs / 1_000))
    .setExpirationTime(Math.floor(expiresAtMs / 1_000))
    .sign(key);
  return new SecretText(token);
}

/**
 * Verifies the `authorization` header of a stream. Rejects with AuthenticationRefused, whose text says which check failed and never what the token was.
 * One algorithm, one key: what a token says of itself (`alg`, `jwk`, `jku`, `x5c`) chooses nothing.
 */
export function createTokenVerifier({ id, key }: TokenKey, epochMs: () => number): (authorization: string | undefined) => Promise<Peer> {
  const publicKey = createPublicKey(key);
  return async (authorization) => {
    const token = /^Bearer ([\w-]+\.[\w-]*\.[\w-]*)$/.exec(authorization ?? "")?.[1];
    if (token === undefined)
      throw new AuthenticationRefused(authorization === undefined ? "no-token" : "no-jwt", "a token is missing: `authorization: Bearer …`");
    try {
      const { kid } = decodeProtectedHeader(token);
      if (kid !== id) throw new AuthenticationRefused("unknown-key", "the token is signed with a key that this mesh does not have");
      const { payload } = await jwtVerify(token, publicKey, {
        algorithms: [ALGORITHM],
        audience: TOKEN_AUDIENCE,
        issuer: ISSUER,
        requiredClaims: ["sub", "exp"],
        currentDate: new Date(epochMs()),
      });
      const [namespace, serviceAccount, proxyId, ...rest] = (payload.sub ?? "").split("/");
      if (!namespace || !serviceAccount || !proxyId || rest.length > 0) throw new AuthenticationRefused("bad-claims", "the token names no proxy");
      return { namespace, serviceAccount, proxyId, expiresAtMs: (payload.exp ?? 0) * 1_000 };
    } catch (error) {
      if (error instanceof AuthenticationRefused) throw error;
      if (error instanceof errors.JWTExpired) throw new AuthenticationRefused("expired", "the token has expired");
      if (error instanceof errors.JWTClaimValidationFailed)
        throw new AuthenticationRefused("bad-claims", `the token's claim "${error.claim}" is not what it must be`);
      throw new AuthenticationRefused("bad-token", "the token is not signed by this mesh");
    }
  };
}
