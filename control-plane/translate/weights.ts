// Weights of a YAML route, and shares of zones inside each, to the widths of Envoy's weighted_clusters entries.

/** Envoy refuses weighted clusters whose weights add up to more. */
const SUM_MAX = 2 ** 32 - 1;

/** One destination: its weight in the YAML, and how it is divided, in any unit. */
export interface Division {
  readonly weight: number;
  readonly shares: readonly number[];
}

/**
 * The widths of each destination's entries, as whole numbers of at least 1 whose sum Envoy accepts. Exact where it can be; else scaled down,
 * which moves a share by less than 0.01 points.
 */
export function entryWidths(divisions: readonly Division[]): readonly (readonly number[])[] {
  const divided = divisions.some(({ shares }) => shares.length > 1);
  const exact = divisions.map(({ weight, shares }) => {
    if (!divided) return [weight];
    const unit = commonUnit(divisions) / shares.reduce((sum, share) => sum + share, 0);
    return shares.map((share) => weight * share * unit);
  });
  const all = exact.flat();
  const sum = all.reduce((total, width) => total + width, 0);
  if (sum <= SUM_MAX) return exact;
  return exact.map((widths) => widths.map((width) => Math.max(1, Math.floor((width * (SUM_MAX - all.length)) / sum))));
}

/** A number that every destination's sum of shares divides, so that a share of one means the same as a share of another. */
function commonUnit(divisions: readonly Division[]): number {
  return divisions.reduce((unit, { shares }) => {
    const sum = shares.reduce((total, share) => total + share, 0);
    return (unit * sum) / greatestCommonDivisor(unit, sum);
  }, 1);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
