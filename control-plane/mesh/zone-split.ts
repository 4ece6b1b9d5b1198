// The balanced split of a destination's traffic over zones: pure arithmetic on counts of callers and of endpoints.
import { compareText } from "../model/diagnostic.ts";

/** Shares are sixty-fourths: coarse enough that a changed replica elsewhere seldom changes a route, fine enough for 1.6 points. */
export const SHARE_UNITS = 64;

/** One zone as the split sees it. */
export interface ZoneLoad {
  /** Unique among the zones. */
  readonly zone: string;
  readonly region: string;
  /** How many callers send from here; each is taken to send as much as any other. */
  readonly demand: number;
  /** How many endpoints serve here; each is to serve as much as any other. */
  readonly capacity: number;
}

/** Where one zone's callers send: whole shares above 0 that add up to {@link SHARE_UNITS}, in byte order of the zones. */
export type ZoneShares = readonly { readonly zone: string; readonly share: number }[];

/**
 * How each zone with callers divides its requests, so that every endpoint gets the same load with as little traffic between zones as can be, and as little
 * between regions. Empty where there is no endpoint or no caller.
 *
 * Distances are nested (zone in region in mesh), so serving as much as possible at the nearest level first is optimal: the traffic that must leave a zone or
 * a region is what its callers send above what its endpoints are to serve. What is left over at a level goes to what is left free there in proportion, which
 * depends on no order, so all replicas of a control plane agree.
 */
export function balancedSplit(zones: readonly ZoneLoad[]): ReadonlyMap<string, ZoneShares> {
  const sorted = [...zones].sort((a, b) => compareText(a.zone, b.zone));
  const demand = sum(sorted.map((zone) => zone.demand));
  const capacity = sum(sorted.map((zone) => zone.capacity));
  if (demand === 0 || capacity === 0) return new Map();
  // In units of 1/capacity of a caller's load, all amounts of the first two steps are whole numbers.
  const flows = sorted.map((from) => new Map([[from.zone, Math.min(from.demand * capacity, from.capacity * demand)]]));
  const surplus = sorted.map((zone) => Math.max(0, zone.demand * capacity - zone.capacity * demand));
  const room = sorted.map((zone) => Math.max(0, zone.capacity * demand - zone.demand * capacity));
  for (const region of [...new Set(sorted.map((zone) => zone.region))].sort(compareText)) {
    const inside = sorted.flatMap((zone, index) => (zone.region === region ? [index] : []));
    moveProportionally(sorted, inside, surplus, room, flows);
  }
  const everywhere = sorted.map((_, index) => index);
  moveProportionally(sorted, everywhere, surplus, room, flows);
  const split = new Map<string, ZoneShares>();
  sorted.forEach((zone, index) => {
    if (zone.demand > 0) split.set(zone.zone, quantise(sorted.map(({ zone: to }) => ({ zone: to, amount: flows[index]?.get(to) ?? 0 }))));
  });
  return split;
}

/** Moves as much surplus as there is room for among the zones `members`: each source and each target takes part in proportion to what it has. */
function moveProportionally(
  zones: readonly ZoneLoad[],
  members: readonly number[],
  surplus: number[],
  room: number[],
  flows: readonly Map<string, number>[],
): void {
  const given = members.map((index) => surplus[index] ?? 0);
  const free = members.map((index) => room[index] ?? 0);
  const totalGiven = sum(given);
  const totalFree = sum(free);
  const moved = Math.min(totalGiven, totalFree);
  if (moved === 0) return;
  members.forEach((from, i) => {
    members.forEach((to, j) => {
      const amount = (moved * (given[i] ?? 0) * (free[j] ?? 0)) / (totalGiven * totalFree);
      const target = zones[to]?.zone ?? "";
      if (amount > 0) flows[from]?.set(target, (flows[from]?.get(target) ?? 0) + amount);
    });
    surplus[from] = (given[i] ?? 0) * (1 - moved / totalGiven);
    room[from] = (free[i] ?? 0) * (1 - moved / totalFree);
  });
}

/**
 * Amounts to whole shares that add up to {@link SHARE_UNITS}: each rounded down, the rest to the largest remainders, first by zone where they are equal.
 * An amount below half a unit of rounding error is none.
 */
export function quantise(amounts: readonly { readonly zone: string; readonly amount: number }[]): ZoneShares {
  const total = sum(amounts.map(({ amount }) => amount));
  if (total === 0) return [];
  const exact = amounts.map(({ zone, amount }) => ({ zone, share: Math.round((amount * SHARE_UNITS * 1e6) / total) / 1e6 }));
  const floors = exact.map(({ share }) => Math.floor(share));
  let missing = SHARE_UNITS - sum(floors);
  const byRemainder = exact.map(({ zone, share }, index) => ({ index, zone, remainder: share - Math.floor(share) }));
  byRemainder.sort((a, b) => b.remainder - a.remainder || compareText(a.zone, b.zone));
  for (const { index } of byRemainder) {
    if (missing <= 0) break;
    floors[index] = (floors[index] ?? 0) + 1;
    missing--;
  }
  return exact
    .flatMap(({ zone }, index) => ((floors[index] ?? 0) > 0 ? [{ zone, share: floors[index] ?? 0 }] : []))
    .sort((a, b) => compareText(a.zone, b.zone));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
