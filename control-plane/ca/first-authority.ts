// The first root of a mesh, and the control plane's certificate from it. Runner and control plane may both make them: the first on disk is the mesh's.
import { type KeptAuthority, loadAuthority, saveAuthorityOnce } from "./authority-file.ts";
import { createRoot, type Issuer, issueLeaf, type Leaf } from "./certificates.ts";
import { CONTROL_PLANE_NAME } from "./control-plane-name.ts";
import { authorityPath } from "./paths.ts";
import { authorityOf } from "./rotation.ts";
import { spiffeId } from "./spiffe.ts";

/** Of a leaf. */
export const USUAL_LIFETIME_MS = 86_400_000;
export const USUAL_TRUST_DOMAIN = "cluster.local";

/** What is on disk, made where there is nothing. Making it takes some 300 ms, nearly all of it to load what makes certificates. */
export async function firstAuthority(identityFolder: string, nowMs: number, lifetimeMs: number = USUAL_LIFETIME_MS): Promise<KeptAuthority> {
  const path = authorityPath(identityFolder);
  const kept = await loadAuthority(path);
  if (kept !== undefined) return kept;
  const root = await createRoot(1, nowMs);
  return saveAuthorityOnce(path, { authority: authorityOf(root, nowMs), server: await issueServer(root, USUAL_TRUST_DOMAIN, nowMs, lifetimeMs) });
}

/** The control plane's own certificate: for the name that proxies ask for, and for people's tools on this machine; or for other names. */
export function issueServer(
  issuer: Issuer,
  trustDomain: string,
  nowMs: number,
  lifetimeMs: number,
  dnsNames: readonly string[] = [CONTROL_PLANE_NAME, "localhost"],
): Promise<Leaf> {
  const uri = spiffeId(trustDomain, { namespace: "weft-system", serviceAccount: "weft-control-plane" });
  return issueLeaf(issuer, { uri, dnsNames, addresses: ["127.0.0.1"], nowMs, lifetimeMs });
}
