// What workloads have called: noted as their proxies ask, and kept for the next process. An input of translation (translate/called-names.ts).
import { type CalledNames, MOST_CALLED_NAMES, NOTHING_CALLED, withCalled, workloadKey } from "../translate/called-names.ts";
import { askedHost } from "../translate/names.ts";

/** Who the proxies of the mesh are. */
type Placed = { readonly id: string; readonly namespace: string; readonly workload: string };

export interface CalledMemory {
  readonly called: () => CalledNames;
  /** Notes what a proxy asks for. Returns the workload that has called something new by it. A proxy that the mesh does not know yet is noted for later. */
  readonly note: (proxyId: string, names: readonly string[]) => string | undefined;
  /** Says who the proxies are. */
  readonly place: (proxies: readonly Placed[]) => void;
}

export interface CalledMemoryEvents {
  /** Told the whole each time that it grows. */
  readonly onChange: (called: CalledNames) => void;
  /** Told once of a workload that has called more names than are remembered: proxies wait for the others in vain. */
  readonly onFull: (workload: string) => void;
}

/** Goes on from what was called before. */
export function createCalledMemory(before: CalledNames = NOTHING_CALLED, { onChange, onFull }: CalledMemoryEvents): CalledMemory {
  let called = before;
  const full = new Set<string>();
  let workloads: ReadonlyMap<string, string> = new Map();
  const unplaced = new Map<string, Set<string>>();
  const note = (proxyId: string, names: readonly string[]): string | undefined => {
    const workload = workloads.get(proxyId);
    if (workload === undefined) {
      const waiting = unplaced.get(proxyId) ?? new Set();
      unplaced.set(proxyId, waiting);
      for (const name of names) if (waiting.size < MOST_CALLED_NAMES) waiting.add(name);
      return undefined;
    }
    const next = withCalled(called, workload, names);
    const known = next.get(workload);
    if (!full.has(workload) && names.some((name) => askedHost(name) !== undefined && known?.has(name) !== true)) {
      full.add(workload);
      onFull(workload);
    }
    if (next === called) return undefined;
    called = next;
    onChange(called);
    return workload;
  };
  return {
    called: () => called,
    note,
    place: (proxies) => {
      workloads = new Map(proxies.map((proxy) => [proxy.id, workloadKey(proxy)]));
      for (const [proxyId, names] of [...unplaced]) {
        if (!workloads.has(proxyId)) continue;
        unplaced.delete(proxyId);
        note(proxyId, [...names]);
      }
    },
  };
}
