import { generateKeyPairSync, webcrypto } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SecretText } from "../model/secret.ts";
import { createRoot, type Issuer, issueLeaf } from "./certificates.ts";
import { type ExternalIssuer, issuerOfTexts, readExternalIssuer } from "./external-issuer.ts";

const NOW_MS = Date.now();
const HOUR_MS = 3_600_000;
let folder = "";
let root: Issuer;
let intermediate: { readonly pem: string; readonly key: SecretText };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-external-"));
  root = await createRoot(1, NOW_MS);
  intermediate = await intermediateOf(await rootOfOthers());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Others {
  readonly pem: string;
  readonly key: webcrypto.CryptoKey;
}
let others: Others;

/** As an organization's own root: it may sign authorities. */
async function rootOfOthers(): Promise<Others> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=company root",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 2, true)],
  });
  others = { pem: certificate.toString("pem"), key: keys.privateKey };
  return others;
}

async function intermediateOf({ pem, key }: Others): Promise<{ pem: string; key: SecretText }> {
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "CN=mesh intermediate",
    issuer: new x509.X509Certificate(pem).subject,
    publicKey: await webcrypto.subtle.importKey("spki", keys.publicKey.export({ format: "der", type: "spki" }), algorithm, true, ["verify"]),
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  // SEC1, as openssl and cert-manager write it.
  return { pem: certificate.toString("pem"), key: new SecretText(String(keys.privateKey.export({ format: "pem", type: "sec1" }))) };
}

function issuerOf(read: ExternalIssuer): Omit<Issuer, "generation"> {
  if (read.kind === "problem") throw new Error(read.text);
  return read.issuer;
}

describe("an issuer of somebody else's", () => {
  it("is read from a folder of three files and from a Secret alike, and its leaves carry the intermediate", async () => {
    const mounted = join(folder, "mounted");
    await mkdir(mounted);
    await writeFile(join(mounted, "tls.crt"), intermediate.pem);
    await writeFile(join(mounted, "tls.key"), intermediate.key.reveal());
    await writeFile(join(mounted, "ca.crt"), others.pem);
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const data = [`  tls.crt: ${base64(intermediate.pem)}`, `  tls.key: ${base64(intermediate.key.reveal())}`, `  ca.crt: ${base64(others.pem)}`];
    const secret = join(folder, "secret.yaml");
    await writeFile(secret, ["apiVersion: v1", "kind: Secret", "type: kubernetes.io/tls", "metadata: { name: mesh-ca }", "data:", ...data].join("\n"));
    const issuers = [issuerOf(await readExternalIssuer(mounted, NOW_MS)), issuerOf(await readExternalIssuer(secret, NOW_MS))];
    expect(issuers[0]?.fingerprint).toBe(issuers[1]?.fingerprint);
    for (const issuer of issuers) {
      const leaf = await issueLeaf({ ...issuer, generation: 2 }, { uri: "spiffe://a/ns/b/sa/c", nowMs: NOW_MS, lifetimeMs: HOUR_MS });
      expect(leaf.chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      expect(issuer.rootsPem.map((pem) => pem.trim())).toEqual([others.pem.trim()]);
    }
  });

  it("may be a root of its own", () => {
    const [pem = ""] = root.rootsPem;
    const issuer = issuerOf(issuerOfTexts({ certificate: pem, privateKey: root.privateKey, roots: "" }, NOW_MS));
    expect([issuer.chainPem, issuer.rootsPem, issuer.fingerprint]).toEqual(["", [pem], root.fingerprint]);
  });

  it("is refused with the reason when it would refuse every handshake", async () => {
    const [pem = ""] = root.rootsPem;
    const leaf = await issueLeaf(root, { uri: "spiffe://a/ns/b/sa/c", nowMs: NOW_MS, lifetimeMs: HOUR_MS });
    const cases = [
      [{ certificate: "", privateKey: root.privateKey, roots: pem }, /holds no certificate/],
      [{ certificate: leaf.chainPem, privateKey: leaf.privateKey, roots: pem }, /no certificate authority/],
      [{ certificate: pem, privateKey: leaf.privateKey, roots: pem }, /not the key/],
      [{ certificate: pem, privateKey: new SecretText("none"), roots: pem }, /not the key/],
      [{ certificate: intermediate.pem, privateKey: intermediate.key, roots: "" }, /ca\.crt is missing/],
      [{ certificate: intermediate.pem, privateKey: intermediate.key, roots: pem }, /no certificate of ca\.crt has signed/],
    ] as const;
    for (const [texts, reason] of cases) expect(issuerOfTexts(texts, NOW_MS)).toEqual({ kind: "problem", text: expect.stringMatching(reason) });
    expect(issuerOfTexts({ certificate: pem, privateKey: root.privateKey, roots: pem }, NOW_MS + 20 * 365 * 24 * HOUR_MS)).toMatchObject({
      text: expect.stringMatching(/has expired/),
    });
  });

  it("is a problem, never an exception or a quoted key, where the file is missing or half written", async () => {
    const broken = join(folder, "broken.yaml");
    await writeFile(broken, `kind: Secret\ndata: { tls.key: "${intermediate.key.reveal().slice(0, 60)}`);
    const read = [await readExternalIssuer(join(folder, "none"), NOW_MS), await readExternalIssuer(broken, NOW_MS)];
    expect(read).toMatchObject([{ kind: "problem" }, { kind: "problem" }]);
    expect(JSON.stringify(read)).not.toContain("PRIVATE KEY");
  });
});
