// When a dead filter is to be replaced: the count of deaths that a proxy reports comes in, a call per replacement comes out.
// The count is Envoy's total, so it neither forgets a death while the control plane is away nor goes on claiming one after healing.
import type { Clock } from "./clock.ts";

/** A filter that dies again and again costs a request each time, so that its replacement waits: this long after the second death, then twice as long each time. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 300_000;
/** After this long without a death the next one is answered at once. */
const CALM_MS = 600_000;

interface Watched {
  deaths: number;
  /** When the last replacement was asked for. */
  replacedAtMs: number;
  pauseMs: number;
  /** A replacement that waits. */
  due: boolean;
}

export interface FilterWatch {
  /** A proxy reports how many filters have died in it since it started: one per worker and trap. */
  readonly report: (proxyId: string, deaths: number) => void;
}

/** Watches all proxies. `onDead` hears the proxy and its count so far, once for all deaths that were reported at once. */
export function createFilterWatch(clock: Clock, onDead: (proxyId: string, deaths: number) => void): FilterWatch {
  const proxies = new Map<string, Watched>();

  const replace = (proxyId: string, watched: Watched): void => {
    watched.due = false;
    watched.replacedAtMs = clock.nowMs();
    onDead(proxyId, watched.deaths);
  };

  return {
    report: (proxyId, deaths) => {
      const watched = proxies.get(proxyId) ?? { deaths: 0, replacedAtMs: Number.NEGATIVE_INFINITY, pauseMs: 0, due: false };
      proxies.set(proxyId, watched);
      const died = deaths !== watched.deaths && deaths > 0;
      // A smaller count is that of an Envoy that has started anew.
      watched.deaths = deaths;
      if (!died || watched.due) return;
      const calmMs = clock.nowMs() - watched.replacedAtMs;
      watched.pauseMs = calmMs >= CALM_MS ? 0 : Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, 2 * watched.pauseMs));
      if (calmMs >= watched.pauseMs) return replace(proxyId, watched);
      watched.due = true;
      clock.after(watched.pauseMs - calmMs, () => replace(proxyId, watched));
    },
  };
}
