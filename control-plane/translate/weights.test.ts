import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entryWidths } from "./weights.ts";

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

describe("widths of weighted clusters", () => {
  it.each([
    [
      "weights as written",
      [
        { weight: 90, shares: [1] },
        { weight: 10, shares: [1] },
      ],
      [[90], [10]],
    ],
    [
      "zones in a common unit",
      [
        { weight: 1, shares: [48, 16] },
        { weight: 1, shares: [64] },
      ],
      [[48, 16], [64]],
    ],
    [
      "shares of unlike sums",
      [
        { weight: 1, shares: [1, 1] },
        { weight: 2, shares: [1, 2] },
      ],
      [
        [3, 3],
        [4, 8],
      ],
    ],
  ])("keep %s exact", (_, divisions, widths) => {
    expect(entryWidths(divisions)).toEqual(widths);
  });

  it("stay within what Envoy accepts, each at least 1, and within 0.01 points of the weights", () => {
    const division = fc.record({
      weight: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      shares: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(division, { minLength: 1, maxLength: 8 }), (divisions) => {
        const widths = entryWidths(divisions);
        const total = sum(widths.flat());
        expect(total).toBeLessThanOrEqual(2 ** 32 - 1);
        expect(Math.min(...widths.flat())).toBeGreaterThanOrEqual(1);
        const weights = sum(divisions.map(({ weight }) => weight));
        for (const [index, { weight }] of divisions.entries()) {
          expect(Math.abs((100 * sum(widths[index] ?? [])) / total - (100 * weight) / weights)).toBeLessThan(0.01);
        }
      }),
    );
  });
});
