import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createRoot, issueLeaf } from "../ca/certificates.ts";
import { privateKeysIn, refusePrivateKeys, refusePrivateKeysBelow } from "./private-keys.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const sec1 = privateKey.export({ type: "sec1", format: "pem" }).toString();
const root = await createRoot(1, Date.now());
const leaf = await issueLeaf(root, { nowMs: Date.now(), lifetimeMs: 60_000, uri: "spiffe://a/ns/b/sa/c" });

describe("the search for private keys", () => {
  it.each([
    ["PEM", pkcs8],
    ["PEM of another form", sec1],
    ["PEM of RSA", rsa.privateKey.export({ type: "pkcs8", format: "pem" })],
    ["PEM within a line of JSON", JSON.stringify({ msg: "sent", body: pkcs8 })],
    ["PEM within JSON within JSON", JSON.stringify(JSON.stringify({ body: pkcs8 }))],
    ["PEM without its armour", pkcs8.split("\n").slice(1, -2).join("")],
    ["PEM without its armour, of another form", sec1.split("\n").slice(1, -2).join("")],
    ["PEM as a Secret of Kubernetes has it", Buffer.from(pkcs8).toString("base64")],
    ["PEM of RSA as a Secret has it", Buffer.from(`${rsa.privateKey.export({ type: "pkcs1", format: "pem" })}`).toString("base64")],
    ["the bytes themselves", privateKey.export({ type: "pkcs8", format: "der" })],
    ["the bytes in the middle of others", Buffer.concat([Buffer.alloc(7), privateKey.export({ type: "pkcs8", format: "der" })])],
    ["the bytes in Base64, one byte on", Buffer.concat([Buffer.alloc(1), privateKey.export({ type: "pkcs8", format: "der" })]).toString("base64")],
    ["the bytes in Base64, two bytes on", Buffer.concat([Buffer.alloc(2), privateKey.export({ type: "pkcs8", format: "der" })]).toString("base64")],
    ["the bytes in hexadecimal", privateKey.export({ type: "pkcs8", format: "der" }).toString("hex")],
    ["a JSON Web Key", JSON.stringify(privateKey.export({ format: "jwk" }))],
    ["a JSON Web Key within JSON", JSON.stringify({ key: JSON.stringify(privateKey.export({ format: "jwk" })) })],
    ["what the authority issues", leaf.privateKey.reveal()],
  ])("finds %s", (_, bytes) => {
    expect(privateKeysIn(bytes)).not.toEqual([]);
    expect(() => refusePrivateKeys("a log", bytes)).toThrow("private key leaked: a log holds");
  });

  it.each([
    ["a public key", publicKey.export({ type: "spki", format: "pem" })],
    ["a public JSON Web Key", JSON.stringify(publicKey.export({ format: "jwk" }))],
    ["a certificate", leaf.chainPem],
    ["a root", root.rootsPem.join("")],
    ["a value that hides what it holds", JSON.stringify({ leaf }) + String(leaf.privateKey)],
    ["words about keys", "this is not the PRIVATE KEY that you look for"],
  ])("does not take %s for one", (_, bytes) => {
    expect(privateKeysIn(bytes)).toEqual([]);
  });

  it("reads every file of a folder, but for those that may hold a key", async () => {
    const folder = await mkdtemp(join(tmpdir(), "weft-keys-"));
    try {
      await writeFile(join(folder, "a.log"), "well\n".repeat(10_000));
      expect(await refusePrivateKeysBelow(folder)).toBe(1);
      await writeFile(join(folder, "b.log"), `{"level":40,"msg":${JSON.stringify(pkcs8)}}\n`);
      await expect(refusePrivateKeysBelow(folder)).rejects.toThrow("b.log holds a private key in PEM");
      expect(await refusePrivateKeysBelow(folder, (path) => path === "b.log")).toBe(1);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe("what is in the repository", () => {
  it.each(["control-plane/test/golden", "docs", "examples", "envoy/e2e/meshes"])("holds no private key: %s", async (folder) => {
    expect(await refusePrivateKeysBelow(join(ROOT, folder))).toBeGreaterThan(0);
  });
});
