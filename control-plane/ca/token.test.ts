import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTokenVerifier, loadTokenKey, mintToken } from "./token.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-token-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const NOW_MS = Date.parse("2026-11-24T12:00:00Z");
const claims = { namespace: "default", serviceAccount: "web", proxyId: "web-1.default", issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + 60_000 };

// What is refused is tested on the port itself.
describe("tokens", () => {
  it("name the proxy and its service account, and are verified as such until they expire", async () => {
    const key = await loadTokenKey(join(folder, "key.json"));
    const token = await mintToken(key, claims);
    expect(decodeJwt(token.reveal())).toEqual({
      iss: "weft",
      sub: "default/web/web-1.default",
      aud: "weft-xds",
      iat: NOW_MS / 1_000,
      exp: NOW_MS / 1_000 + 60,
    });
    expect(`${token} ${JSON.stringify({ token })}`).toBe('[redacted] {"token":"[redacted]"}');
    const { namespace, serviceAccount, proxyId, expiresAtMs } = claims;
    expect(await createTokenVerifier(key, () => NOW_MS)(`Bearer ${token.reveal()}`)).toEqual({ namespace, serviceAccount, proxyId, expiresAtMs });
    await expect(createTokenVerifier(key, () => expiresAtMs)(`Bearer ${token.reveal()}`)).rejects.toThrow(/expired/);
  });

  it("are signed with one key, whoever makes it first, that only its owner reads", async () => {
    const path = join(folder, "deep", "key.json");
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadTokenKey(path)));
    expect(new Set(keys.map(({ id }) => id)).size).toBe(1);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(JSON.stringify(keys)).not.toContain("PRIVATE");
  });

  it("need a key file that can be read, and a broken one is not repeated", async () => {
    const path = join(folder, "key.json");
    const kept = await loadTokenKey(path).then(() => readFile(path, "utf8"));
    await writeFile(path, kept.slice(0, 100));
    const error = await loadTokenKey(path).catch((refused: Error) => refused.message);
    expect(error).toMatch(/Fix: delete it/);
    expect(error).not.toContain("PRIVATE");
  });
});
