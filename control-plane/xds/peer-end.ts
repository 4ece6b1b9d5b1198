// When a proved stream must end: with the proof, a little earlier for some, so that the streams of a whole mesh do not all come back at once.
import type { Peer } from "./authentication.ts";
import { atEpoch, type Clock } from "./clock.ts";

/** Streams end within this part of what is left of a token's life, and never after it. */
const JITTER = 0.1;
const LONGEST_JITTER_MS = 300_000;

/** Calls `end` when the proof of `peer` ends; without a peer never. The result cancels it. */
export function endOfPeer(peer: Peer | undefined, clock: Clock, end: () => void): () => void {
  if (peer === undefined) return () => undefined;
  const jitterMs = Math.min(LONGEST_JITTER_MS, Math.max(0, peer.expiresAtMs - Date.now()) * JITTER);
  return atEpoch(clock, Date.now, peer.expiresAtMs - Math.random() * jitterMs, end);
}
