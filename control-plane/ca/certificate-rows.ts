// The certificates of a mesh as `weft cert show` lists them. Pure; no key is read.
import { X509Certificate } from "node:crypto";
import type { CertificateRow } from "../local/protocol.ts";
import { issuingPem, type Leaf } from "./certificates.ts";
import type { Authority } from "./rotation.ts";
import { leafVersion, parseLeafVersion } from "./sds-version.ts";

export interface Certificates {
  readonly authority: Authority;
  readonly server: Leaf;
  readonly proxies: readonly {
    readonly id: string;
    readonly leaf: Leaf | undefined;
    /** Version of the leaf that its proxy has acknowledged. */
    readonly held: string | undefined;
  }[];
}

/** Roots first, then the control plane, then proxies in the order given. A proxy that has asked for no certificate has no row. */
export function certificateRows({ authority, server, proxies }: Certificates): readonly CertificateRow[] {
  const roots = authority.issuers.map((issuer): CertificateRow => {
    const state = issuer.generation === authority.issuing ? "issuing" : "trusted";
    return { kind: "root", name: `root ${issuer.generation}`, generation: issuer.generation, state, ...textsOf(issuingPem(issuer)) };
  });
  const own: CertificateRow = { kind: "control-plane", name: "control plane", generation: server.generation, state: "in use", ...textsOf(server.chainPem) };
  const rows = proxies.flatMap(({ id, leaf, held }): readonly CertificateRow[] => {
    if (leaf !== undefined) {
      const state = held === leafVersion(leaf) ? "in use" : "under way";
      return [{ kind: "proxy", name: id, generation: leaf.generation, state, ...textsOf(leaf.chainPem) }];
    }
    const version = parseLeafVersion(held ?? "");
    return version === undefined ? [] : [heldRow(id, version.expiresAtMs, generationOf(authority, version.fingerprint), held ?? "")];
  });
  return [...roots, own, ...rows];
}

/** The certificate itself is with the proxy: a former control plane issued it, and this one has no reason to replace it yet. */
function heldRow(id: string, expiresAtMs: number, generation: number, version: string): CertificateRow {
  const serial = `${version.split("-").at(-1)}…`;
  return { kind: "proxy", name: id, subject: "", issuer: "", serial, notBefore: "", notAfter: new Date(expiresAtMs).toISOString(), generation, state: "held" };
}

function generationOf({ issuers }: Authority, fingerprint: string): number {
  return issuers.find((issuer) => issuer.fingerprint === fingerprint)?.generation ?? 0;
}

function textsOf(pem: string): Pick<CertificateRow, "subject" | "issuer" | "serial" | "notBefore" | "notAfter"> {
  const certificate = new X509Certificate(pem);
  const uri = /(?:^|, )URI:([^,]+)/.exec(certificate.subjectAltName ?? "")?.[1];
  return {
    subject: uri ?? oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber.toLowerCase(),
    notBefore: new Date(certificate.validFrom).toISOString(),
    notAfter: new Date(certificate.validTo).toISOString(),
  };
}

function oneLine(name: string | undefined): string {
  return (name ?? "").split("\n").join(", ");
}
