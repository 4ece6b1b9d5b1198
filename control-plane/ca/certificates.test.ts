import { X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createRoot, fingerprintOf, issueLeaf } from "./certificates.ts";
import { leafVersion, parseLeafVersion } from "./sds-version.ts";
import { leafSecret } from "./secrets.ts";

const NOW_MS = Date.parse("2026-11-24T12:00:00Z");
const HOUR_MS = 3_600_000;
const URI = "spiffe://cluster.local/ns/default/sa/reviews";

describe("certificates", () => {
  it("are ECDSA P-256, name the workload by its SPIFFE id alone, and come from the root", async () => {
    const root = await createRoot(3, NOW_MS);
    const leaf = await issueLeaf(root, { uri: URI, nowMs: NOW_MS, lifetimeMs: 24 * HOUR_MS });
    const [certificate, issuer] = [new X509Certificate(leaf.chainPem), new X509Certificate(root.rootsPem.join(""))];
    expect([issuer.ca, issuer.subject, issuer.verify(issuer.publicKey)]).toEqual([true, "O=weft\nCN=weft root 3", true]);
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect([certificate.ca, certificate.subject, certificate.subjectAltName]).toEqual([false, undefined, `URI:${URI}`]);
    expect([certificate.checkIssued(issuer), certificate.verify(issuer.publicKey)]).toEqual([true, true]);
    expect([leaf.generation, leaf.fingerprint, leaf.serial]).toEqual([3, fingerprintOf(root.rootsPem.join("")), certificate.serialNumber.toLowerCase()]);
  });

  it.each([
    { lifetimeMs: 24 * HOUR_MS, expires: "2026-11-25T12:00:00.000Z" },
    { lifetimeMs: 5_000, expires: "2026-11-24T12:00:05.000Z" },
    { lifetimeMs: 1_500, expires: "2026-11-24T12:00:02.000Z" },
    { lifetimeMs: 100 * 365 * 24 * HOUR_MS, expires: "2036-11-21T12:00:00.000Z" },
  ])("live for $lifetimeMs ms, in whole seconds, and never longer than their issuer", async ({ lifetimeMs, expires }) => {
    const leaf = await issueLeaf(await createRoot(1, NOW_MS), { uri: URI, nowMs: NOW_MS, lifetimeMs });
    expect(new Date(leaf.expiresAtMs).toISOString()).toBe(expires);
    expect(Date.parse(new X509Certificate(leaf.chainPem).validTo)).toBe(leaf.expiresAtMs);
  });

  it("keep their keys from whatever prints them", async () => {
    const root = await createRoot(1, NOW_MS);
    const leaf = await issueLeaf(root, { uri: URI, nowMs: NOW_MS, lifetimeMs: HOUR_MS });
    const resource = leafSecret(leaf);
    const key = leaf.privateKey.reveal().split("\n")[1] ?? "";
    expect(Buffer.from(resource.body).includes(key)).toBe(true);
    for (const value of [root, leaf, resource, { ...resource }, new Map([["default", resource]])]) {
      const printed = [JSON.stringify(value), inspect(value, { depth: 10, showHidden: false }), String(value), `${leaf.privateKey}`];
      expect(printed.join()).not.toContain(key);
      // Bytes print as numbers.
      expect(printed.join()).not.toMatch(/Uint8Array|"bytes"/);
    }
    expect(JSON.stringify(leaf)).toContain("[redacted]");
  });
});

describe("the version of a leaf", () => {
  it("says when it expires and whose it is", async () => {
    const leaf = await issueLeaf(await createRoot(1, NOW_MS), { uri: URI, nowMs: NOW_MS, lifetimeMs: HOUR_MS });
    expect(parseLeafVersion(leafVersion(leaf))).toEqual({ expiresAtMs: leaf.expiresAtMs, fingerprint: leaf.fingerprint });
  });

  it.each(["", "1", "abc-def-ghi", "99999999999999999999-0123456789-00", "1764083385-XYZ-00"])(
    "is nothing where it was not written by a control plane: %s",
    (version) => {
      expect(parseLeafVersion(version)).toBeUndefined();
    },
  );
});
