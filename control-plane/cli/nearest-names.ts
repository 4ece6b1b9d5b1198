// Which of the known names a mistyped one was probably meant to be. Pure.
import { nearest } from "../model/nearest.ts";

/** ` Did you mean product-a or product-b?`: the likeliest slip, then names that hold what was typed, three at most. An empty text where none is near. */
export function didYouMean(typed: string, names: Iterable<string>): string {
  const known = [...new Set(names)].sort();
  const slip = nearest(typed, known);
  const holding = typed === "" ? [] : known.filter((name) => name !== slip && name.includes(typed));
  const likely = [...(slip === undefined ? [] : [slip]), ...holding].slice(0, 3);
  return likely.length === 0 ? "" : ` Did you mean ${likely.join(" or ")}?`;
}
