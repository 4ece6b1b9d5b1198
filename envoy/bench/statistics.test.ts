import { describe, expect, it } from "vitest";
import { bootstrapMedian, median, seededRandom } from "./statistics.ts";

describe("median", () => {
  it.each([
    { values: [3], expected: 3 },
    { values: [3, 1, 2], expected: 2 },
    { values: [4, 1, 3, 2], expected: 2.5 },
    { values: [], expected: Number.NaN },
  ])("of $values is $expected", ({ values, expected }) => {
    expect(median(values)).toBe(expected);
  });
});

describe("seededRandom", () => {
  it("repeats for a seed and is uniform", () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed);
      return Array.from({ length: 10_000 }, random);
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    const tenths = new Array<number>(10).fill(0);
    for (const value of draw(7)) tenths[Math.floor(10 * value)] = (tenths[Math.floor(10 * value)] ?? 0) + 1;
    // 10,000 draws, 1,000 expected in each tenth, standard deviation 30.
    for (const times of tenths) expect(Math.abs(times - 1_000)).toBeLessThan(150);
  });
});

describe("bootstrapMedian", () => {
  it("covers the true median in about 95 of 100 samples", () => {
    const random = seededRandom(20221104);
    const samples = Array.from({ length: 300 }, () => bootstrapMedian(Array.from({ length: 60 }, random), random, 300));
    const covered = samples.filter(({ low, high }) => low <= 0.5 && high >= 0.5).length;
    expect(covered / samples.length).toBeGreaterThan(0.9);
    expect(covered / samples.length).toBeLessThanOrEqual(1);
    for (const { median: middle, low, high } of samples) expect(low <= middle && middle <= high).toBe(true);
  });
});
