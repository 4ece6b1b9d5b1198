// Shared and own resources as one map: the same answers as a copy would give, and what differs between two.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EncodedResource, encodeResource } from "./encode.ts";
import { changedNames, layered, type Names, sameNames } from "./layers.ts";

const resource = (name: string, version: string): EncodedResource =>
  encodeResource({ type: "cluster", name, body: new TextEncoder().encode(version), origins: [], needs: [] });

const POOL = new Map(["a", "b", "c", "d"].flatMap((name) => ["1", "2"].map((version) => [`${name}${version}`, resource(name, version)] as const)));

const names: fc.Arbitrary<Names> = fc
  .uniqueArray(fc.constantFrom(...POOL.values()), { selector: ({ name }) => name })
  .map((resources) => new Map(resources.map((one) => [one.name, one])));

const copied = (shared: Names, own: Names): Names => new Map([...shared, ...own]);

describe("layered", () => {
  it("answers as a copy of both would", () => {
    fc.assert(
      fc.property(names, names, (shared, own) => {
        const [both, copy] = [layered(shared, own), copied(shared, own)];
        expect(both.size).toBe(copy.size);
        expect(new Map(both)).toEqual(copy);
        expect(new Set(both.keys())).toEqual(new Set(copy.keys()));
        expect(new Set(both.values())).toEqual(new Set(copy.values()));
        for (const name of ["a", "b", "c", "d", "e"]) expect([both.has(name), both.get(name)]).toEqual([copy.has(name), copy.get(name)]);
        const visited = new Map<string, EncodedResource>();
        both.forEach((one, name) => {
          visited.set(name, one);
        });
        expect(visited).toEqual(copy);
      }),
    );
  });
});

describe("changedNames and sameNames", () => {
  it("tell every name at which two maps differ, however they are layered", () => {
    fc.assert(
      fc.property(names, names, names, names, (shared, own, otherShared, otherOwn) => {
        const [before, after] = [layered(shared, own), layered(otherShared, otherOwn)];
        const changed = new Set(changedNames(before, after));
        for (const name of ["a", "b", "c", "d"]) if (before.get(name) !== after.get(name)) expect(changed).toContain(name);
        expect(sameNames(before, after)).toBe(["a", "b", "c", "d"].every((name) => before.get(name) === after.get(name)));
      }),
    );
  });

  it("compares what is shared once", () => {
    const [before, after] = [new Map([["a", resource("a", "1")]]), new Map([["a", resource("a", "2")]])];
    expect(changedNames(layered(before, new Map()), layered(after, new Map()))).toBe(changedNames(before, after));
  });
});
