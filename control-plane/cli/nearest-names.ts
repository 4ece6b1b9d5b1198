// Which of the known names a mistyped one was probably meant to be. Pure.
import { nearest } from "../model/nearest.ts";

/** At most three of `names`: the likeliest slip, then those that hold what was typed. */
export function nearestNames(typed: string, names: Iterable<string>): readonly string[] {
  const known = [...new Set(names)].sort();
  const slip = nearest(typed, known);
  const holding = typed === "" ? [] : known.filter((name) => name !== slip && name.includes(typed));
  return [...(slip === undefined ? [] : [slip]), ...holding].slice(0, 3);
}

/** ` Did you mean product-a or product-b?`, or an empty text. */
export function didYouMean(typed: string, names: Iterable<string>): string {
  const likely = nearestNames(typed, names);
  return likely.length === 0 ? "" : ` Did you mean ${likely.join(" or ")}?`;
}
