import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { balancedSplit, quantise, SHARE_UNITS, type ZoneLoad, type ZoneShares } from "./zone-split.ts";

const SEED = Number(process.env.WEFT_SEED ?? 20_261_124);

const load = (zone: string, demand: number, capacity: number, region = "r"): ZoneLoad => ({ zone, region, demand, capacity });
const shares = (split: ReadonlyMap<string, ZoneShares>): Record<string, Record<string, number>> =>
  Object.fromEntries([...split].map(([zone, row]) => [zone, Object.fromEntries(row.map(({ zone: to, share }) => [to, share]))]));

describe("balancedSplit", () => {
  it.each([
    {
      what: "keeps all at home where each zone has its share",
      zones: [load("a", 1, 1), load("b", 1, 1), load("c", 1, 1)],
      expected: { a: { a: 64 }, b: { b: 64 }, c: { c: 64 } },
    },
    { what: "keeps all at home in proportion", zones: [load("a", 2, 4), load("b", 1, 2)], expected: { a: { a: 64 }, b: { b: 64 } } },
    {
      what: "sends the surplus of a crowded zone where there is room",
      zones: [load("a", 1, 1), load("b", 1, 1), load("c", 3, 1)],
      expected: { a: { a: 64 }, b: { b: 64 }, c: { a: 14, b: 14, c: 36 } },
    },
    { what: "sends all away from a zone without endpoints", zones: [load("a", 1, 0), load("b", 1, 1)], expected: { a: { b: 64 }, b: { b: 64 } } },
    {
      what: "divides a zone without endpoints by the room that is left",
      zones: [load("a", 1, 0), load("b", 1, 1), load("c", 1, 1)],
      expected: { a: { b: 32, c: 32 }, b: { b: 64 }, c: { c: 64 } },
    },
    {
      what: "stays in the region while there is room",
      zones: [load("a", 2, 1, "east"), load("b", 1, 2, "east"), load("x", 1, 1, "west")],
      expected: { a: { a: 32, b: 32 }, b: { b: 64 }, x: { x: 64 } },
    },
    { what: "gives nothing without endpoints", zones: [load("a", 1, 0)], expected: {} },
    { what: "gives nothing without callers", zones: [load("a", 0, 1)], expected: {} },
  ])("$what", ({ zones, expected }) => {
    expect(shares(balancedSplit(zones))).toEqual(expected);
  });

  const zonesArbitrary = fc
    .uniqueArray(fc.tuple(fc.stringMatching(/^[a-h]$/), fc.constantFrom("east", "west", "south"), fc.nat(30), fc.nat(30)), {
      selector: ([zone]) => zone,
      minLength: 1,
    })
    .map((zones) => zones.map(([zone, region, demand, capacity]) => load(zone, demand, capacity, region)));
  const hold = (property: fc.IProperty<[ZoneLoad[]]>): void => fc.assert(property, { seed: SEED, numRuns: 500 });
  const total = (zones: readonly ZoneLoad[], of: "demand" | "capacity"): number => zones.reduce((sum, zone) => sum + zone[of], 0);

  it(`gives shares above 0 that add up to ${SHARE_UNITS}, for each zone with callers (seed ${SEED})`, () => {
    hold(
      fc.property(zonesArbitrary, (zones) => {
        const split = balancedSplit(zones);
        const calling = total(zones, "capacity") === 0 ? [] : zones.filter(({ demand }) => demand > 0).map(({ zone }) => zone);
        expect([...split.keys()]).toEqual(calling.sort());
        for (const row of split.values()) {
          expect(row.reduce((sum, { share }) => sum + share, 0)).toBe(SHARE_UNITS);
          for (const { share } of row) expect(Number.isInteger(share) && share > 0).toBe(true);
        }
      }),
    );
  });

  it(`gives every endpoint the same load, but for rounding (seed ${SEED})`, () => {
    hold(
      fc.property(zonesArbitrary, (zones) => {
        const split = balancedSplit(zones);
        if (split.size === 0) return;
        const demand = total(zones, "demand");
        for (const { zone, capacity } of zones) {
          const served = zones.reduce(
            (sum, from) => sum + (from.demand * (split.get(from.zone)?.find(({ zone: to }) => to === zone)?.share ?? 0)) / SHARE_UNITS,
            0,
          );
          // Each row is off by less than one unit of its zone's demand.
          expect(Math.abs(served - (demand * capacity) / total(zones, "capacity"))).toBeLessThanOrEqual(demand / SHARE_UNITS + 1e-9);
        }
      }),
    );
  });

  it(`moves no more between zones, and between regions, than equal load demands, but for rounding (seed ${SEED})`, () => {
    hold(
      fc.property(zonesArbitrary, (zones) => {
        const split = balancedSplit(zones);
        if (split.size === 0) return;
        const demand = total(zones, "demand");
        const fair = demand / total(zones, "capacity");
        for (const place of ["zone", "region"] as const) {
          const places = [...new Set(zones.map((zone) => zone[place]))];
          const least = places.reduce((sum, name) => {
            const inside = zones.filter((zone) => zone[place] === name);
            return sum + Math.max(0, total(inside, "demand") - fair * total(inside, "capacity"));
          }, 0);
          const placeOf = new Map(zones.map((zone) => [zone.zone, zone[place]]));
          const moved = zones.reduce((sum, from) => {
            const away = (split.get(from.zone) ?? []).filter(({ zone: to }) => placeOf.get(to) !== from[place]);
            return sum + (from.demand * away.reduce((share, entry) => share + entry.share, 0)) / SHARE_UNITS;
          }, 0);
          // Rounding may move up to one unit of each row for each zone it reaches.
          expect(moved).toBeLessThanOrEqual(least + (demand * zones.length) / SHARE_UNITS + 1e-9);
        }
      }),
    );
  });

  it(`does not depend on the order of the zones (seed ${SEED})`, () => {
    hold(
      fc.property(zonesArbitrary, (zones) => {
        expect(shares(balancedSplit([...zones].reverse()))).toEqual(shares(balancedSplit(zones)));
      }),
    );
  });

  it(`keeps all at home where demand and capacity are in proportion (seed ${SEED})`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (sizes, callers, endpoints) => {
          const split = balancedSplit(sizes.map((size, index) => load(`z${index}`, size * callers, size * endpoints)));
          for (const [zone, row] of split) expect(row).toEqual([{ zone, share: SHARE_UNITS }]);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe("quantise", () => {
  it.each([
    { what: "thirds", amounts: [1, 1, 1], expected: { z0: 22, z1: 21, z2: 21 } },
    { what: "a share below half a unit", amounts: [1000, 1], expected: { z0: 64 } },
    { what: "nothing", amounts: [0, 0], expected: {} },
    { what: "Istio's percentages", amounts: [80, 20], expected: { z0: 51, z1: 13 } },
  ])("rounds $what", ({ amounts, expected }) => {
    const row = quantise(amounts.map((amount, index) => ({ zone: `z${index}`, amount })));
    expect(Object.fromEntries(row.map(({ zone, share }) => [zone, share]))).toEqual(expected);
  });
});
