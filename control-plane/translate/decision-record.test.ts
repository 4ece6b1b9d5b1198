import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type DecisionRecord,
  decisionId,
  encodeDecisionRecord,
  entryOfPick,
  parseDecisionRecord,
  recordSum,
  stickyCandidate,
  stickyEntry,
} from "./decision-record.ts";

const SEED = 20221104;
console.log(`decision-record seed ${SEED}`);

const canary: DecisionRecord = {
  key: { kind: "cookie", name: "user", attributes: "Path=/;Max-Age=3600" },
  salt: "shop/reviews/primary",
  zoneKey: { kind: "header", name: "x-user" },
  candidates: [
    {
      weight: 90,
      identity: "reviews|80|v1",
      entries: [
        { width: 60, cluster: "outbound|80|v1|reviews" },
        { width: 30, cluster: "outbound|80|v1|reviews;zone=b" },
      ],
    },
    { weight: 10, identity: "reviews|80|v2", entries: [{ width: 10, cluster: "outbound|80|v2|reviews" }] },
  ],
};

const text = `weft1 100
key cookie user Path=/;Max-Age=3600
salt shop/reviews/primary
zonekey header x-user
c 90 reviews|80|v1
e 60 outbound|80|v1|reviews
e 30 outbound|80|v1|reviews;zone=b
c 10 reviews|80|v2
e 10 outbound|80|v2|reviews
`;

const word = fc.stringMatching(/^[!-$&-~é한]{1,12}$/u);
const source = fc.oneof(fc.record({ kind: fc.constant("header" as const), name: word }), fc.record({ kind: fc.constant("cookie" as const), name: word }));
const entry = fc.record({ width: fc.integer({ min: 1, max: 1_000_000 }), cluster: word });
const recordArbitrary: fc.Arbitrary<DecisionRecord> = fc.record(
  {
    key: fc.oneof(source, fc.constant({ kind: "none" as const }), fc.record({ kind: fc.constant("cookie" as const), name: word, attributes: word })),
    salt: fc.string({ minLength: 1, maxLength: 20, unit: "binary" }),
    zoneKey: source,
    candidates: fc.array(
      fc.record({ weight: fc.integer({ min: 1, max: 2 ** 32 - 1 }), identity: word, entries: fc.array(entry, { minLength: 1, maxLength: 4 }) }),
      {
        minLength: 1,
        maxLength: 8,
      },
    ),
  },
  { requiredKeys: ["key", "salt", "candidates"] },
);

describe("the record's text", () => {
  it("is what the contract says", () => {
    expect(encodeDecisionRecord(canary)).toEqual({ id: decisionId(text), decision: text });
  });

  it("has FNV-1a 64 as its id", () => {
    // Test vectors of draft-eastlake-fnv.
    expect(decisionId("")).toBe("cbf29ce484222325");
    expect(decisionId("a")).toBe("af63dc4c8601ec8c");
    expect(decisionId("foobar")).toBe("85944171f73967e8");
  });

  it("reads back what was written", () => {
    fc.assert(
      fc.property(recordArbitrary, (record) => {
        expect(parseDecisionRecord(encodeDecisionRecord(record).decision)).toEqual({ kind: "record", record });
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it.each([
    ["", "last line"],
    ["weft1 100", "last line"],
    [text.replace("weft1", "weft2"), "line 1"],
    [text.replace("weft1 100", "weft1 101"), "add up"],
    [text.replace("weft1 100", "weft1 0100"), "line 1"],
    [text.replace("key cookie", "key body"), "line 2"],
    [text.replace("salt shop", "salt  shop"), "line 3"],
    [text.replace("salt shop/reviews/primary\n", ""), "line 3"],
    [text.replace("zonekey header x-user", "zonekey none"), "line 4"],
    [text.replace("c 90", "c 0"), "line 5"],
    [text.replace("e 60", "e 4294967296"), "line 6"],
    [text.replace("c 90 reviews|80|v1\n", ""), "line 5"],
    [text.replace("e 10 outbound|80|v2|reviews\n", ""), "last candidate"],
    [text.replaceAll("\n", "\r\n"), "line 1"],
    ["weft1 1\nkey none\nsalt s\n", "no candidate"],
    [`weft1 65\nkey none\nsalt s\n${"c 1 i\ne 1 n\n".repeat(65)}`, "64 candidates"],
    [`weft1 257\nkey none\nsalt s\nc 1 i\n${"e 1 n\n".repeat(257)}`, "256 entries"],
    [`weft1 1\nkey none\nsalt ${"s".repeat(16_384)}\nc 1 i\ne 1 n\n`, "16384 bytes"],
    ["weft1 2\nkey none\nsalt s\nc 1 i\ne 4294967295 n\ne 3 n\n", "add up"],
  ])("refuses %j", (broken, reason) => {
    expect(parseDecisionRecord(broken)).toEqual({ kind: "malformed", reason: expect.stringContaining(reason) });
  });

  it.each<[string, DecisionRecord]>([
    ["a name with a space", { ...canary, key: { kind: "header", name: "x user" } }],
    ["an empty salt", { ...canary, salt: "" }],
    ["no candidate", { ...canary, candidates: [] }],
    ["a sum above 2^32 - 1", { ...canary, candidates: [{ weight: 1, identity: "i", entries: Array(2).fill({ width: 2 ** 31, cluster: "n" }) }] }],
  ])("cannot be written with %s", (_, record) => {
    expect(() => encodeDecisionRecord(record)).toThrow(RangeError);
  });

  it("gives every point below the sum to the entry whose interval holds it", () => {
    expect(recordSum(canary)).toBe(100);
    expect([0, 59, 60, 89, 90, 99].map((pick) => entryOfPick(canary, pick)?.entry.cluster)).toEqual([
      "outbound|80|v1|reviews",
      "outbound|80|v1|reviews",
      "outbound|80|v1|reviews;zone=b",
      "outbound|80|v1|reviews;zone=b",
      "outbound|80|v2|reviews",
      "outbound|80|v2|reviews",
    ]);
    expect(entryOfPick(canary, 100)).toBeUndefined();
  });
});

/** A record with one entry per candidate. */
function weighted(weights: Readonly<Record<string, number>>): DecisionRecord {
  const candidates = Object.entries(weights).map(([subset, weight]) => ({ weight, identity: `h|80|${subset}`, entries: [{ width: weight, cluster: subset }] }));
  return { key: { kind: "header", name: "x-user" }, salt: "ns/route", candidates };
}

const users = Array.from({ length: 5_000 }, (_, index) => `user-${index}`);

/** The subset each user is in. */
function subsets(record: DecisionRecord): readonly (string | undefined)[] {
  return users.map((user) => record.candidates[stickyCandidate(record, user)]?.identity);
}

describe("the sticky choice", () => {
  it("follows the weights", () => {
    const shares = subsets(weighted({ a: 70, b: 20, c: 10 }));
    for (const [identity, share] of [
      ["h|80|a", 0.7],
      ["h|80|b", 0.2],
      ["h|80|c", 0.1],
    ] as const) {
      expect(Math.abs(shares.filter((subset) => subset === identity).length / users.length - share)).toBeLessThan(0.015);
    }
  });

  it("does not depend on the order of the list or on the total", () => {
    const expected = subsets(weighted({ a: 90, b: 10 }));
    expect(subsets(weighted({ b: 10, a: 90 }))).toEqual(expected);
    expect(subsets(weighted({ a: 9, b: 1 }))).toEqual(expected);
    expect(subsets(weighted({ b: 100, a: 900 }))).toEqual(expected);
  });

  it("only moves users into the candidate whose weight rises", () => {
    const before = subsets(weighted({ a: 90, b: 10 }));
    const after = subsets(weighted({ a: 75, b: 25 }));
    const moved = users.flatMap((_, index) => (before[index] === after[index] ? [] : [after[index]]));
    expect(moved.length).toBeGreaterThan(0);
    expect(new Set(moved)).toEqual(new Set(["h|80|b"]));
  });

  it("is another one under another salt", () => {
    const record = weighted({ a: 50, b: 50 });
    expect(subsets({ ...record, salt: "ns/other" })).not.toEqual(subsets(record));
  });

  it("chooses the zone inside a candidate by the widths", () => {
    const [candidate] = canary.candidates;
    const first = users.filter((user) => candidate && stickyEntry(canary, candidate, user) === 0).length;
    expect(Math.abs(first / users.length - 2 / 3)).toBeLessThan(0.02);
  });
});
