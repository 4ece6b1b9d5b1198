// The mesh's roots and the control plane's own certificate on disk: made once, read at each start.
import { z } from "zod";
import { SecretText } from "../model/secret.ts";
import type { Leaf } from "./certificates.ts";
import { readPrivateFile, writePrivateFile, writePrivateFileOnce } from "./private-file.ts";
import type { Authority } from "./rotation.ts";

/** What is kept from one control plane of a mesh to the next. */
export interface KeptAuthority {
  readonly authority: Authority;
  /** The server certificate of the control plane; kept so that a start makes none. */
  readonly server?: Leaf;
}

const secret = z.string().transform((text) => new SecretText(text));
const keyed = { chainPem: z.string(), privateKey: secret };
const kept = z.object({
  version: z.literal(1),
  authority: z.object({
    issuers: z.array(z.object({ ...keyed, generation: z.number(), fingerprint: z.string(), rootsPem: z.array(z.string()) })).min(1),
    issuing: z.number(),
    sinceMs: z.number(),
  }),
  server: z
    .object({ ...keyed, generation: z.number(), fingerprint: z.string(), serial: z.string(), issuedAtMs: z.number(), expiresAtMs: z.number() })
    .exactOptional(),
});

/** Undefined where there is none. A file that cannot be read as one is an error, never a reason for another root: every certificate hangs on it. */
export async function loadAuthority(path: string): Promise<KeptAuthority | undefined> {
  const text = await readPrivateFile(path);
  if (text === undefined) return undefined;
  try {
    return kept.parse(JSON.parse(text));
  } catch {
    // The parser's own words would repeat what stands in the file.
    throw new Error(
      `${path} does not hold the roots of a mesh. Fix: restore it, or delete it: the mesh then gets a new root, and all its proxies new certificates`,
    );
  }
}

/** Writes it, whatever was there. */
export async function saveAuthority(path: string, kept: KeptAuthority): Promise<void> {
  await writePrivateFile(path, textOf(kept));
}

/** Writes it unless something is there; returns what then is. */
export async function saveAuthorityOnce(path: string, own: KeptAuthority): Promise<KeptAuthority> {
  await writePrivateFileOnce(path, textOf(own));
  return (await loadAuthority(path)) ?? own;
}

/** The only place where keys are written out in full. */
function textOf({ authority, server }: KeptAuthority): string {
  const open = <Keyed extends { readonly privateKey: SecretText }>(value: Keyed) => ({ ...value, privateKey: value.privateKey.reveal() });
  const value = { version: 1, authority: { ...authority, issuers: authority.issuers.map(open) }, ...(server === undefined ? {} : { server: open(server) }) };
  return `${JSON.stringify(value)}\n`;
}
