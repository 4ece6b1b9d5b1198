import { describe, expect, it } from "vitest";
import { select } from "./answers.ts";
import { desiredWorkload } from "./fixtures.ts";
import { restartDelayMs } from "./supervised-process.ts";

const workload = desiredWorkload("product");
const elsewhere = { ...workload, namespace: "other" };
const zones = ["eu-1a", "eu-1b", "us-1b"].map((zone) => ({ workload, zone, replicas: 1 }));

describe("selection of a workload", () => {
  it.each([
    { name: "all zones", selection: { workload: "product" }, selected: ["eu-1a", "eu-1b", "us-1b"] },
    { name: "one zone by its end", selection: { workload: "product", zone: "a" }, selected: ["eu-1a"] },
    { name: "one zone by its name", selection: { workload: "product", zone: "us-1b" }, selected: ["us-1b"] },
    { name: "the namespace that was named", selection: { workload: "product", namespace: "default", zone: "a" }, selected: ["eu-1a"] },
  ])("takes $name", ({ selection, selected }) => {
    expect(select(zones, selection).map(({ zone }) => zone)).toEqual(selected);
  });

  it.each([
    { name: "no such workload", selection: { workload: "prodct" }, says: "name one of product" },
    { name: "no such zone", selection: { workload: "product", zone: "x" }, says: "eu-1a, eu-1b, us-1b" },
    { name: "an end that several zones have", selection: { workload: "product", zone: "b" }, says: "eu-1b, us-1b" },
  ])("refuses $name and says what there is", ({ selection, says }) => {
    expect(() => select(zones, selection)).toThrow(says);
  });

  it("refuses a name that is in several namespaces", () => {
    expect(() => select([...zones, { workload: elsewhere, zone: "", replicas: 1 }], { workload: "product" })).toThrow("default, other");
  });
});

describe("restart of what has ended", () => {
  it("comes at once the first time, then later and later, but never later than half a minute", () => {
    expect([1, 2, 3, 4, 5, 20].map(restartDelayMs)).toEqual([0, 500, 1_000, 2_000, 4_000, 30_000]);
  });
});
