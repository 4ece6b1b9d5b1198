// What share of requests and of users each choice gets, and who moves when weights change: the built filter in the fake host.
import { beforeAll, describe, expect, it } from "vitest";
import { type DecisionRecord, encodeDecisionRecord, entryOfPick, type StickyKey } from "../control-plane/translate/decision-record.ts";
import { buildFilter } from "./build.ts";
import { decisionRequest, type FakeEnvoy, pickOf, startFakeEnvoy } from "./host.ts";

const SEED = Uint8Array.of(7, 11, 4, 20, 22, 1, 2, 3);
console.log(`filter seed ${SEED}`);

let envoy: FakeEnvoy;

beforeAll(async () => {
  envoy = await startFakeEnvoy((await buildFilter()).path, SEED);
  envoy.configure("{}");
});

/** Subsets with their weights, in the order of the list; one entry each. */
type Weights = readonly (readonly [string, number])[];

function recordOf(weights: Weights, key: StickyKey): DecisionRecord {
  const candidates = weights
    .filter(([, weight]) => weight > 0)
    .map(([subset, weight]) => ({ weight, identity: `web|80|${subset}`, entries: [{ width: weight, cluster: subset }] }));
  return { key, salt: "default/web/primary", candidates };
}

/** The subset of each request, `count` of them. */
function drawSubsets(weights: Weights, count: number): ReadonlyMap<string, number> {
  const record = recordOf(weights, { kind: "none" });
  const request = decisionRequest(encodeDecisionRecord(record));
  const picks = new Map<number, number>();
  for (let index = 0; index < count; index++) {
    const pick = pickOf(envoy.request(request));
    picks.set(pick, (picks.get(pick) ?? 0) + 1);
  }
  const subsets = new Map<string, number>();
  for (const [pick, times] of picks) {
    const subset = entryOfPick(record, pick)?.entry.cluster ?? `no entry holds ${pick}`;
    subsets.set(subset, (subsets.get(subset) ?? 0) + times);
  }
  return subsets;
}

const USERS = Array.from({ length: 10_000 }, (_, index) => `user-${index}@example.com`);

/** The subset of each user. */
function subsetsOf(weights: Weights, users: readonly string[] = USERS): readonly string[] {
  const record = recordOf(weights, { kind: "header", name: "x-user" });
  const encoded = encodeDecisionRecord(record);
  return users.map((user) => {
    const pick = pickOf(envoy.request(decisionRequest(encoded, { "x-user": user })));
    return entryOfPick(record, pick)?.entry.cluster ?? `no entry holds ${pick}`;
  });
}

/** The greatest difference between a share and its weight, in percentage points. */
function shareError(weights: Weights, counts: ReadonlyMap<string, number>): number {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const requests = [...counts.values()].reduce((sum, count) => sum + count, 0);
  expect([...counts.keys()].sort()).toEqual(weights.map(([subset]) => subset).sort());
  return Math.max(...weights.map(([subset, weight]) => Math.abs((100 * (counts.get(subset) ?? 0)) / requests - (100 * weight) / total)));
}

function countEach(subsets: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const subset of subsets) counts.set(subset, (counts.get(subset) ?? 0) + 1);
  return counts;
}

describe("random choice", () => {
  it("is within 0.5 points of the weights over 1,000,000 requests", () => {
    const weights: Weights = [
      ["stable", 90],
      ["canary", 10],
    ];
    expect(shareError(weights, drawSubsets(weights, 1_000_000))).toBeLessThan(0.5);
  });

  it.each<{ weights: Weights }>([
    {
      weights: [
        ["a", 1],
        ["b", 1],
        ["c", 1],
      ],
    },
    {
      weights: [
        ["a", 4_000_000_000],
        ["b", 290_000_000],
        ["c", 4_967_295],
      ],
    },
    {
      weights: [
        ["a", 70],
        ["b", 15],
        ["c", 10],
        ["d", 5],
      ],
    },
  ])("follows $weights", ({ weights }) => {
    expect(shareError(weights, drawSubsets(weights, 100_000))).toBeLessThan(0.7);
  });
});

describe("sticky choice", () => {
  it.each<{ weights: Weights }>([
    {
      weights: [
        ["stable", 90],
        ["canary", 10],
      ],
    },
    {
      weights: [
        ["a", 50],
        ["b", 30],
        ["c", 20],
      ],
    },
    {
      weights: [
        ["a", 70],
        ["b", 15],
        ["c", 10],
        ["d", 5],
      ],
    },
  ])("is within 1 point of $weights over 100,000 users", ({ weights }) => {
    const users = Array.from({ length: 100_000 }, (_, index) => `${index}`);
    expect(shareError(weights, countEach(subsetsOf(weights, users)))).toBeLessThan(1);
  });

  // Each line is another way of writing the same ramp: the order of the list, the total of the weights.
  it.each<{ name: string; at: (canary: number) => Weights }>([
    {
      name: "stable first, of 100",
      at: (canary) => [
        ["stable", 100 - canary],
        ["canary", canary],
      ],
    },
    {
      name: "canary first, of 100",
      at: (canary) => [
        ["canary", canary],
        ["stable", 100 - canary],
      ],
    },
    {
      name: "stable first, of 20",
      at: (canary) => [
        ["stable", (100 - canary) / 5],
        ["canary", canary / 5],
      ],
    },
    {
      name: "canary first, of 1000",
      at: (canary) => [
        ["canary", canary * 10],
        ["stable", 1000 - canary * 10],
      ],
    },
  ])("moves nobody the wrong way on the ramp 0-5-10-25-50-100-0: $name", ({ at }) => {
    const inCanary = new Set<number>();
    for (const canary of [0, 5, 10, 25, 50, 100]) {
      const subsets = subsetsOf(at(canary));
      const left = [...inCanary].filter((user) => subsets[user] !== "canary");
      expect(left).toEqual([]);
      subsets.forEach((subset, user) => {
        if (subset === "canary") inCanary.add(user);
      });
      expect(Math.abs(inCanary.size / USERS.length - canary / 100)).toBeLessThan(0.015);
    }
    expect(new Set(subsetsOf(at(0)))).toEqual(new Set(["stable"]));
  });

  it("is the same for 90/10, 10/90 the other way round, 9/1 and 900/100", () => {
    const expected = subsetsOf([
      ["stable", 90],
      ["canary", 10],
    ]);
    expect(
      subsetsOf([
        ["canary", 10],
        ["stable", 90],
      ]),
    ).toEqual(expected);
    expect(
      subsetsOf([
        ["stable", 9],
        ["canary", 1],
      ]),
    ).toEqual(expected);
    expect(
      subsetsOf([
        ["canary", 100],
        ["stable", 900],
      ]),
    ).toEqual(expected);
  });

  it.each<{ before: Weights; after: Weights }>([
    {
      before: [
        ["a", 50],
        ["b", 30],
        ["c", 20],
      ],
      after: [
        ["c", 35],
        ["a", 50],
        ["b", 30],
      ],
    },
    {
      before: [
        ["a", 40],
        ["b", 30],
        ["c", 20],
        ["d", 10],
      ],
      after: [
        ["a", 40],
        ["b", 30],
        ["c", 20],
        ["d", 30],
      ],
    },
    {
      before: [
        ["a", 50],
        ["b", 30],
      ],
      after: [
        ["a", 50],
        ["b", 30],
        ["c", 20],
      ],
    },
  ])("moves users only into the subset that grew: $before to $after", ({ before, after }) => {
    const grown = after.find(([subset, weight]) => before.find(([name]) => name === subset)?.[1] !== weight)?.[0];
    const from = subsetsOf(before);
    const into = new Set(subsetsOf(after).filter((subset, user) => subset !== from[user]));
    expect(into).toEqual(new Set([grown]));
  });

  it("puts users of one route elsewhere on another route", () => {
    const record = recordOf(
      [
        ["stable", 50],
        ["canary", 50],
      ],
      { kind: "header", name: "x-user" },
    );
    const other = encodeDecisionRecord({ ...record, salt: "default/web/other" });
    const here = encodeDecisionRecord(record);
    const isStable = (route: typeof here, user: string) => pickOf(envoy.request(decisionRequest(route, { "x-user": user }))) < 50;
    const moved = USERS.filter((user) => isStable(here, user) !== isStable(other, user));
    expect(Math.abs(moved.length / USERS.length - 0.5)).toBeLessThan(0.03);
  });
});
