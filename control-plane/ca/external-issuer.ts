// A root or intermediate of somebody else's: three PEM texts as cert-manager writes them (`tls.crt`, `tls.key`, `ca.crt`), from a folder where such a Secret is
// mounted or from a Secret document. In comes a path; out comes an issuer, or what is wrong with it.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { SecretText, secretFields, secretSpec } from "../model/secret.ts";
import { fingerprintOf, type Issuer, splitPem } from "./certificates.ts";

/** The texts of a `kubernetes.io/tls` Secret. */
export interface TlsTexts {
  /** The issuing certificate, then what leads to the root. */
  readonly certificate: string;
  readonly privateKey: SecretText;
  /** The roots. Empty where the issuing certificate is its own root. */
  readonly roots: string;
}

export type ExternalIssuer = { readonly kind: "issuer"; readonly issuer: Omit<Issuer, "generation"> } | { readonly kind: "problem"; readonly text: string };

/** Reads an issuer from where somebody else keeps it. Never rejects: what is written just now is read again later. */
export interface ExternalIssuerReader {
  /** Where that is, for people. */
  readonly place: string;
  readonly read: (nowMs: number) => Promise<ExternalIssuer>;
}

/** A reader of a path: see {@link readExternalIssuer}. */
export function issuerAt(path: string): ExternalIssuerReader {
  return { place: path, read: (nowMs) => readExternalIssuer(path, nowMs) };
}

const secretDocument = z.object({ kind: z.literal("Secret"), ...secretFields });

/** Reads a folder of three files, or a file that holds a Secret. Never rejects: a Secret that is written just now is read again later. */
export async function readExternalIssuer(path: string, nowMs: number): Promise<ExternalIssuer> {
  try {
    const texts = (await stat(path)).isDirectory() ? await readFolder(path) : parseSecret(await readFile(path, "utf8"));
    return issuerOfTexts(texts, nowMs);
  } catch (error) {
    // A YAML parser quotes the text that it chokes on, which may be a key.
    const code =
      error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("E")
        ? error.code
        : "no Secret of type kubernetes.io/tls";
    return { kind: "problem", text: `${path} cannot be read: ${code}` };
  }
}

/** Checks what would make every handshake of the mesh fail, and says the first of it that is so. */
export function issuerOfTexts({ certificate, privateKey, roots }: TlsTexts, nowMs: number): ExternalIssuer {
  const chain = splitPem(certificate);
  const [issuing] = chain;
  if (issuing === undefined) return problem("tls.crt holds no certificate");
  const parsed = chain.map((pem) => new X509Certificate(pem));
  const [first] = parsed;
  if (first?.ca !== true) return problem("the first certificate of tls.crt is no certificate authority (CA:TRUE)");
  if (Date.parse(first.validTo) <= nowMs) return problem(`the certificate of tls.crt has expired (${first.validTo})`);
  if (!isKeyOf(first, privateKey)) return problem("tls.key is not the key of the first certificate of tls.crt");
  const trusted = splitPem(roots);
  const rootsPem = trusted.length > 0 ? trusted : chain.filter((_, index) => isSelfSigned(parsed[index]));
  if (rootsPem.length === 0) return problem("ca.crt is missing, and tls.crt does not reach a root");
  const last = parsed.findLast((candidate) => !isSelfSigned(candidate));
  if (last !== undefined && !rootsPem.some((pem) => signed(new X509Certificate(pem), last)))
    return problem("no certificate of ca.crt has signed the last one of tls.crt");
  const intermediates = chain.filter((_, index) => !isSelfSigned(parsed[index]));
  return { kind: "issuer", issuer: { chainPem: intermediates.join(""), privateKey, fingerprint: fingerprintOf(issuing), rootsPem } };
}

function problem(text: string): ExternalIssuer {
  return { kind: "problem", text };
}

async function readFolder(folder: string): Promise<TlsTexts> {
  const [certificate, key, roots] = await Promise.all([
    readFile(join(folder, "tls.crt"), "utf8"),
    readFile(join(folder, "tls.key"), "utf8"),
    readFile(join(folder, "ca.crt"), "utf8").catch(() => ""),
  ]);
  return { certificate, privateKey: new SecretText(key), roots };
}

function parseSecret(text: string): TlsTexts {
  const { entries } = secretSpec(secretDocument.parse(parse(text)));
  return {
    certificate: entries["tls.crt"]?.reveal() ?? "",
    privateKey: entries["tls.key"] ?? new SecretText(""),
    roots: entries["ca.crt"]?.reveal() ?? "",
  };
}

function isKeyOf(certificate: X509Certificate, privateKey: SecretText): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(privateKey.reveal()));
  } catch {
    return false;
  }
}

function isSelfSigned(certificate: X509Certificate | undefined): boolean {
  return certificate !== undefined && signed(certificate, certificate);
}

function signed(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
