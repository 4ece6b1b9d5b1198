// How one root follows another without a refused handshake. Pure: what is trusted and who holds what goes in, the next state comes out.
//
//   announced: the new root is in everybody's bundle; the former one still signs.  -> once every proxy holds the bundle
//   issuing:   the new root signs, and every leaf is renewed; both are trusted.    -> once every proxy holds a leaf of it
//   the former root leaves the bundle.
import type { Issuer } from "./certificates.ts";

/** What the mesh trusts and signs with. */
export interface Authority {
  /** All whose leaves are trusted, oldest first. */
  readonly issuers: readonly Issuer[];
  /** The generation that signs. */
  readonly issuing: number;
  /** When the state above was entered, in milliseconds of the Unix epoch. */
  readonly sinceMs: number;
}

/** What one proxy of the mesh is known to hold. */
export interface Holdings {
  /** Whether it has a stream: without one nobody knows, and it cannot be told anything. */
  readonly connected: boolean;
  /** It uses certificates at all. */
  readonly subscribed: boolean;
  /** Version of the trust bundle that it has acknowledged. */
  readonly bundle: string;
  /** {@link Issuer.fingerprint} of the leaf that it has acknowledged. */
  readonly fingerprint: string;
}

/** After everybody has confirmed: worker threads and file watches of proxies are a moment behind. */
export const SETTLE_MS = 2_000;

/** A mesh with one issuer. */
export function authorityOf(issuer: Issuer, nowMs: number): Authority {
  return { issuers: [issuer], issuing: issuer.generation, sinceMs: nowMs };
}

/** The issuer that signs now. */
export function issuerOf(authority: Authority): Issuer {
  const issuer = authority.issuers.find(({ generation }) => generation === authority.issuing);
  if (issuer === undefined) throw new Error(`generation ${authority.issuing} is not among the mesh's issuers`);
  return issuer;
}

/** Whether a former root is still trusted beside the one that signs, or a new one not signing yet. */
export function isRotating({ issuers }: Authority): boolean {
  return issuers.length > 1;
}

/** Roots to be trusted, each once, oldest first. */
export function bundleOf({ issuers }: Authority): readonly string[] {
  return [...new Set(issuers.flatMap(({ rootsPem }) => rootsPem))];
}

/** The authority with one more issuer, announced. Of issuers that were announced and never signed, only the newest stays. */
export function announce(authority: Authority, issuer: Issuer, nowMs: number): Authority {
  return { ...authority, issuers: [...authority.issuers.filter(({ generation }) => generation <= authority.issuing), issuer], sinceMs: nowMs };
}

/**
 * The next state, or the same one. A proxy without a stream holds up a rotation, since nobody knows what it trusts, but not for ever: after half of a leaf's
 * lifetime the new root signs all the same, and after a whole one no leaf of the former root is valid anyway.
 */
export function advance(authority: Authority, bundleVersion: string, proxies: readonly Holdings[], nowMs: number, leafLifetimeMs: number): Authority {
  const newest = authority.issuers.at(-1);
  const elapsedMs = nowMs - authority.sinceMs;
  if (newest === undefined || !isRotating(authority) || elapsedMs < Math.min(SETTLE_MS, leafLifetimeMs / 4)) return authority;
  const everyone = (holds: (proxy: Holdings) => boolean): boolean => proxies.every((proxy) => proxy.connected && (!proxy.subscribed || holds(proxy)));
  if (newest.generation !== authority.issuing) {
    const told = everyone(({ bundle }) => bundle === bundleVersion);
    return told || elapsedMs > leafLifetimeMs / 2 ? { ...authority, issuing: newest.generation, sinceMs: nowMs } : authority;
  }
  const renewed = everyone(({ fingerprint }) => fingerprint === newest.fingerprint);
  return renewed || elapsedMs > leafLifetimeMs + SETTLE_MS ? { issuers: [newest], issuing: newest.generation, sinceMs: nowMs } : authority;
}
