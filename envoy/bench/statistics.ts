// The statistics that the benchmarks print: medians of paired ratios with a bootstrap interval. Pure; the generator is a parameter.

/** The middle value; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** A small seeded generator (mulberry32): uniform in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Median with its 95 % percentile-bootstrap interval. */
export function bootstrapMedian(values: readonly number[], random: () => number, resamples = 2_000): Interval {
  const medians = Array.from({ length: resamples }, () => median(values.map(() => values[Math.floor(random() * values.length)] ?? Number.NaN)));
  medians.sort((a, b) => a - b);
  const at = (share: number): number => medians[Math.min(medians.length - 1, Math.floor(share * medians.length))] ?? Number.NaN;
  return { median: median(values), low: at(0.025), high: at(0.975) };
}
