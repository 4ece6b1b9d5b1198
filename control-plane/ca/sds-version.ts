// Versions of the secrets on a stream. Unlike those of other resources they are no hash of the content: they say when a key is due, so that a control plane
// that never saw the key can tell from the version that a proxy reports.
import { createHash } from "node:crypto";
import type { Leaf } from "./certificates.ts";

/** What the version of a leaf says. */
export interface LeafVersion {
  readonly expiresAtMs: number;
  /** Of its issuer. */
  readonly fingerprint: string;
}

/** `1764083385-3f2a90c1d4-5e0f91a2b3c4d5e6`: expiry in seconds, issuer, start of the serial number. */
export function leafVersion({ expiresAtMs, fingerprint, serial }: Pick<Leaf, "expiresAtMs" | "fingerprint" | "serial">): string {
  return `${Math.floor(expiresAtMs / 1_000)}-${fingerprint}-${serial.slice(0, 16)}`;
}

/** Undefined for what no control plane has written. A proxy that reports a lie harms itself alone: it keeps a certificate that has expired. */
export function parseLeafVersion(version: string): LeafVersion | undefined {
  const [, seconds, fingerprint] = /^(\d{1,12})-([0-9a-f]{10})-[0-9a-f]+$/.exec(version) ?? [];
  return seconds === undefined || fingerprint === undefined ? undefined : { expiresAtMs: Number(seconds) * 1_000, fingerprint };
}

/** The version of a trust bundle: the same roots give the same one, whoever serves them. */
export function bundleVersion(roots: readonly string[]): string {
  return createHash("sha256").update(roots.join("")).digest("hex").slice(0, 16);
}
