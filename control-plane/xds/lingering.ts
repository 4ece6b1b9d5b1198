// Delayed removal: a cluster leaves only after everything that named it was replaced and ACKed, and after the longest time for which a
// request may hold on to an old route. Route configurations and their hosts wait as long, for the listeners that drain with them.
import { resourceKey } from "../snapshot/encode.ts";
import type { XdsType } from "../translate/resource.ts";
import { changesOf, namesOf, type StreamState, targetOf } from "./stream-state.ts";

/** What lingers before its removal, in the order in which it is removed: what is named goes after what names it. */
const LINGERING_TYPES = ["route", "virtualHost", "cluster"] as const satisfies readonly XdsType[];
const NAMING_TYPES = ["listener", "route", "virtualHost"] as const satisfies readonly XdsType[];

/** Starts the clock of everything that is to go and that nothing names any more, and forgets what is wanted again. True when a clock was started. */
export function startClocks(stream: StreamState, nowMs: number): boolean {
  if (isQuiet(stream) && stream.formerDelayMs > stream.removalDelayMs) {
    stream.heldUntilMs = Math.max(stream.heldUntilMs, nowMs + stream.formerDelayMs);
    stream.formerDelayMs = stream.removalDelayMs;
  }
  if (stream.lingering.size === 0 && LINGERING_TYPES.every((type) => changesOf(stream, type).gone.size === 0)) return false;
  const going = new Set(LINGERING_TYPES.flatMap((type) => [...changesOf(stream, type).gone].map((name) => resourceKey(type, name))));
  for (const key of stream.lingering.keys()) if (!going.has(key)) stream.lingering.delete(key);
  if (!isQuiet(stream)) return false;
  const pinned = pins(stream);
  let started = false;
  for (const key of going) {
    if (stream.lingering.has(key) || pinned === "everything" || pinned.has(key)) continue;
    stream.lingering.set(key, nowMs);
    started = true;
  }
  return started;
}

/** Whether a removal that lingers may be sent now. Clusters go last: after the routes and hosts that lingered with them. */
export function isDue(stream: StreamState, type: XdsType, name: string, nowMs: number): boolean {
  const since = stream.lingering.get(resourceKey(type, name));
  if (since === undefined || nowMs < dueMs(stream, since) || !isQuiet(stream)) return false;
  return type !== "cluster" || (changesOf(stream, "route").gone.size === 0 && changesOf(stream, "virtualHost").gone.size === 0);
}

/** When the next removal after `nowMs` falls due, in the clock's milliseconds; undefined when none does. */
export function nextDueMs(stream: StreamState, nowMs: number): number | undefined {
  let earliest: number | undefined;
  for (const since of stream.lingering.values()) {
    const due = dueMs(stream, since);
    if (due > nowMs) earliest = Math.min(earliest ?? Number.POSITIVE_INFINITY, due);
  }
  return earliest;
}

/** The delay of the target, or that of a former one whose routes requests may still hold. */
function dueMs(stream: StreamState, since: number): number {
  return Math.max(since + stream.removalDelayMs, stream.heldUntilMs);
}

/** Nothing that may name a cluster is still to be sent or answered. */
function isQuiet(stream: StreamState): boolean {
  return (
    stream.subscriptions.listener.requested &&
    NAMING_TYPES.every((type) => stream.subscriptions[type].pending.size === 0 && changesOf(stream, type).wanted.size === 0)
  );
}

/** Clusters named by what the client holds in another version than the target's (Envoy refused the newer one); everything, where that version is unknown. */
function pins(stream: StreamState): ReadonlySet<string> | "everything" {
  const pinned = new Set<string>();
  for (const type of NAMING_TYPES) {
    const target = targetOf(stream, type);
    const { gone } = changesOf(stream, type);
    for (const [name, held] of stream.subscriptions[type].held) {
      if (gone.has(name) || target.get(name)?.version === held.version) continue;
      if (held.resource === undefined) return "everything";
      for (const cluster of namesOf(held.resource, "cluster")) pinned.add(resourceKey("cluster", cluster));
    }
  }
  return pinned;
}
