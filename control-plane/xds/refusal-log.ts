// Says once that somebody is refused, however often he tries: what floods the log hides the rest, and fills the disk.
import type { Clock } from "./clock.ts";
import type { Logger } from "./connection.ts";

/** Logs a refusal; `who` is what was claimed or where it came from. */
export type LogRefusal = (reason: string, who: string, fields?: object) => void;

/** The same refusal is said again after this time, with the number of those in between. */
const QUIET_MS = 60_000;
/** Beyond, refusals of one reason count together whoever was refused: names cost memory, and an attacker has many. */
const MOST_KEYS = 256;

/** A log of refusals with a bounded memory. */
export function createRefusalLog(logger: Logger, clock: Clock): LogRefusal {
  const said = new Map<string, { atMs: number; since: number }>();
  return (reason, who, fields = {}) => {
    const nowMs = clock.nowMs();
    if (said.size >= MOST_KEYS) for (const [key, { atMs }] of said) if (nowMs - atMs >= QUIET_MS) said.delete(key);
    const own = `${reason} ${who}`;
    const key = said.has(own) || said.size < MOST_KEYS ? own : reason;
    const entry = said.get(key);
    if (entry !== undefined && nowMs - entry.atMs < QUIET_MS) {
      entry.since += 1;
      return;
    }
    logger.warn({ reason, who, ...fields, ...(entry === undefined || entry.since === 0 ? {} : { refusedSince: entry.since }) }, "refused");
    said.set(key, { atMs: nowMs, since: 0 });
  };
}
