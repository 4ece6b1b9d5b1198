// What is to be done to bring what runs to what is desired: desired × running → steps. Pure; it is asked again after every change, and steps already under way
// are part of what runs.
import type { ZoneShare } from "./placement.ts";

/** What one workload is to look like. */
export interface WorkloadTarget {
  readonly zones: readonly ZoneShare[];
  /** Instances with another one are replaced. */
  readonly digest: string;
}

/** One instance that runs. `retiring`: it no longer counts, but its number is not free yet. */
export interface PlannedInstance {
  /** The number at the end of its name, from 1. */
  readonly ordinal: number;
  readonly zone: string;
  readonly digest: string;
  readonly state: "ready" | "unready" | "retiring";
}

export type Step = { readonly kind: "start"; readonly ordinal: number; readonly zone: string } | { readonly kind: "retire"; readonly ordinal: number };

/**
 * Steps for one workload, zone by zone. Replacing makes before it breaks: one instance more than asked for may run, and an old one goes when as many are ready
 * as are asked for. An old instance that is not ready serves nothing and goes at once.
 */
export function planWorkload(target: WorkloadTarget | undefined, running: readonly PlannedInstance[]): readonly Step[] {
  const counted = running.filter(({ state }) => state !== "retiring");
  if (target === undefined) return counted.map(({ ordinal }) => ({ kind: "retire", ordinal }));
  const taken = new Set(running.map(({ ordinal }) => ordinal));
  const zones = target.zones.map(({ zone }) => zone);
  const steps: Step[] = [];
  for (const { zone, replicas } of target.zones) {
    // What ran in a zone that is no longer asked for is replaced by instances of the first zone: it goes when those are ready.
    const members = counted.filter((instance) => instance.zone === zone || (zone === zones[0] && !zones.includes(instance.zone)));
    const { starts, retires } = planZone(replicas, target.digest, members);
    for (const ordinal of retires) steps.push({ kind: "retire", ordinal });
    for (let start = 0; start < starts; start++) {
      const ordinal = firstFree(taken);
      taken.add(ordinal);
      steps.push({ kind: "start", ordinal, zone });
    }
  }
  return steps;
}

function planZone(replicas: number, digest: string, members: readonly PlannedInstance[]): { readonly starts: number; readonly retires: readonly number[] } {
  const ordered = [...members].sort((a, b) => a.ordinal - b.ordinal);
  const current = ordered.filter((instance) => instance.digest === digest);
  const old = ordered.filter((instance) => instance.digest !== digest);
  const servingOld = old.filter(isReady);
  const idleOld = old.filter((instance) => !isReady(instance));
  const spareOld = servingOld.slice(0, Math.max(0, servingOld.length + current.filter(isReady).length - replicas));
  const keptOld = servingOld.length - spareOld.length;
  const spareCurrent = keptOld > 0 ? [] : spare(current, current.length - replicas);
  return {
    starts: Math.max(0, Math.min(replicas - current.length, replicas + (keptOld > 0 ? 1 : 0) - current.length - keptOld)),
    retires: [...idleOld, ...spareOld, ...spareCurrent].map(({ ordinal }) => ordinal),
  };
}

/** Of instances that are too many: those that serve nothing first, then the highest numbers. */
function spare(instances: readonly PlannedInstance[], count: number): readonly PlannedInstance[] {
  if (count <= 0) return [];
  return [...instances].sort((a, b) => Number(isReady(a)) - Number(isReady(b)) || b.ordinal - a.ordinal).slice(0, count);
}

function isReady({ state }: PlannedInstance): boolean {
  return state === "ready";
}

function firstFree(taken: ReadonlySet<number>): number {
  let ordinal = 1;
  while (taken.has(ordinal)) ordinal += 1;
  return ordinal;
}
