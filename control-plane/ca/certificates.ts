// Makes certificates: roots and leaves, ECDSA P-256 throughout. Time comes in as milliseconds of the Unix epoch; PEM goes out.
import { createPrivateKey, generateKeyPairSync, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import type { Extension, X509Certificate as X509 } from "@peculiar/x509";
import { SecretText } from "../model/secret.ts";

/** A certificate and its key, as PEM. */
export interface KeyedCertificate {
  /** The certificate first, then what leads from it to a root, the root left out. */
  readonly chainPem: string;
  readonly privateKey: SecretText;
}

/** What signs leaves. */
export interface Issuer extends KeyedCertificate {
  /** Counts up with each new root or intermediate of this mesh. */
  readonly generation: number;
  /** Tells generations apart over all control planes that share them: the start of the SHA-256 of the issuing certificate, in hex. */
  readonly fingerprint: string;
  /** Who must be trusted for this issuer's leaves to be. */
  readonly rootsPem: readonly string[];
}

/** A certificate of one proxy, or of the control plane. */
export interface Leaf extends KeyedCertificate {
  /** Of the issuer. */
  readonly fingerprint: string;
  readonly generation: number;
  /** Hexadecimal. */
  readonly serial: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export interface LeafRequest {
  /** The SPIFFE id. */
  readonly uri: string;
  /** Of servers that are called by name: the control plane only. A workload's certificate has none, so that it can stand for no server. */
  readonly dnsNames?: readonly string[];
  readonly addresses?: readonly string[];
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

const KEY_PAIR = {
  namedCurve: "P-256",
  publicKeyEncoding: { format: "der", type: "spki" },
  privateKeyEncoding: { format: "pem", type: "pkcs8" },
} as const;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Clocks of two machines differ: a certificate is valid from a little before it was made. */
const CLOCK_SKEW_MS = 60_000;
const ROOT_LIFETIME_MS = 10 * 365 * 86_400_000;
const FINGERPRINT_LENGTH = 10;
const SERIAL_BYTES = 16;

/** Loaded when first used: it takes some 200 ms, and most starts of a control plane make no certificate. */
async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  // The library takes its parts together by reflection, of which JavaScript itself has half.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** A self-signed root that signs leaves, and no other authorities. */
export async function createRoot(generation: number, nowMs: number): Promise<Issuer> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ O: ["weft"] }, { CN: [`weft root ${generation}`] }],
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + ROOT_LIFETIME_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = closed(certificate.toString("pem"));
  return { generation, fingerprint: fingerprintOf(pem), chainPem: "", rootsPem: [pem], privateKey: await exportKey(keys.privateKey) };
}

/**
 * A leaf for both ends of mutual TLS. Its subject is empty and its name critical, as SPIFFE asks. It never outlives its issuer.
 * Rejects when the issuer's key is not ECDSA P-256 or RSA.
 */
export async function issueLeaf(issuer: Issuer, request: LeafRequest): Promise<Leaf> {
  const { uri, dnsNames = [], addresses = [], nowMs, lifetimeMs } = request;
  const { x509, certificate: signer, key, algorithm, extension } = await signerOf(issuer);
  const { publicKey, privateKey } = generateKeyPairSync("ec", KEY_PAIR);
  // A certificate's times are whole seconds.
  const expiresAtMs = Math.min(Math.ceil((nowMs + lifetimeMs) / 1_000) * 1_000, signer.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: "",
    issuer: signer.subjectName,
    notBefore: new Date(Math.max(nowMs - CLOCK_SKEW_MS, signer.notBefore.getTime())),
    notAfter: new Date(expiresAtMs),
    publicKey,
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(
        [
          { type: "url", value: uri },
          ...dnsNames.map((value) => ({ type: "dns" as const, value })),
          ...addresses.map((value) => ({ type: "ip" as const, value })),
        ],
        true,
      ),
      extension,
    ],
  });
  return {
    chainPem: closed(certificate.toString("pem")) + issuer.chainPem,
    privateKey: new SecretText(privateKey),
    fingerprint: issuer.fingerprint,
    generation: issuer.generation,
    serial: certificate.serialNumber,
    issuedAtMs: nowMs,
    expiresAtMs,
  };
}

interface Signer {
  readonly x509: typeof import("@peculiar/x509");
  readonly certificate: X509;
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: typeof ALGORITHM | typeof RSA;
  /** Names the issuer's key in each leaf. */
  readonly extension: Extension;
}

/** Reading an issuer takes longer than issuing. */
const SIGNERS = new WeakMap<Issuer, Promise<Signer>>();

function signerOf(issuer: Issuer): Promise<Signer> {
  const known = SIGNERS.get(issuer) ?? readSigner(issuer);
  SIGNERS.set(issuer, known);
  known.catch(() => SIGNERS.delete(issuer));
  return known;
}

async function readSigner(issuer: Issuer): Promise<Signer> {
  const x509 = await loadX509();
  const certificate = new x509.X509Certificate(issuingPem(issuer));
  const [signing, extension] = await Promise.all([importKey(issuer.privateKey), x509.AuthorityKeyIdentifierExtension.create(certificate)]);
  return { x509, certificate, ...signing, extension };
}

/** The certificate that signs: the first of the chain, or the root itself where there is no chain. */
export function issuingPem(issuer: Pick<Issuer, "chainPem" | "rootsPem">): string {
  const [first = ""] = splitPem(issuer.chainPem || (issuer.rootsPem[0] ?? ""));
  return first;
}

/** What {@link Issuer.fingerprint} is for this certificate. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").slice(0, FINGERPRINT_LENGTH).toLowerCase();
}

/** The certificates of a PEM text, each by itself with a line end. */
export function splitPem(text: string): readonly string[] {
  return (text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(closed);
}

function closed(pem: string): string {
  return `${pem.trim()}\n`;
}

/** Positive, as X.509 asks, and not guessable. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

async function exportKey(key: webcrypto.CryptoKey): Promise<SecretText> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return new SecretText(`-----BEGIN PRIVATE KEY-----\n${bytes.replace(/.{64}(?=.)/g, "$&\n")}\n-----END PRIVATE KEY-----\n`);
}

/** Keys of others come as PKCS#1 and SEC1 as well: Node reads all three. */
async function importKey(secret: SecretText): Promise<{ readonly key: webcrypto.CryptoKey; readonly algorithm: typeof ALGORITHM | typeof RSA }> {
  const key = createPrivateKey(secret.reveal());
  const algorithm = key.asymmetricKeyType === "rsa" ? RSA : ALGORITHM;
  const bytes = key.export({ format: "der", type: "pkcs8" });
  return { key: await webcrypto.subtle.importKey("pkcs8", bytes, algorithm, false, ["sign"]), algorithm };
}

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
