// Which of the known names a mistyped one was probably meant to be. Pure.
import { compareText } from "../model/diagnostic.ts";

/** At most three of `names`, the likeliest first: those that hold `typed` or a third of whose letters at most differ from it. */
export function nearestNames(typed: string, names: Iterable<string>): readonly string[] {
  const ranked = [...new Set(names)]
    .map((name) => ({ name, distance: editDistance(typed.toLowerCase(), name.toLowerCase()), holds: typed !== "" && name.includes(typed) }))
    .filter(({ name, distance, holds }) => holds || distance <= Math.max(1, Math.floor(Math.max(name.length, typed.length) / 3)));
  ranked.sort((a, b) => a.distance - b.distance || compareText(a.name, b.name));
  return ranked.slice(0, 3).map(({ name }) => name);
}

/** ` Did you mean product-a or product-b?`, or an empty text. */
export function didYouMean(typed: string, names: Iterable<string>): string {
  const nearest = nearestNames(typed, names);
  return nearest.length === 0 ? "" : ` Did you mean ${nearest.join(" or ")}?`;
}

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
