// Istio's recorded answers on locality: the same weights and priorities, but for the lines that are written down with their reason.
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CONFORMANCE, readLines } from "./lines.ts";
import { compareLocality } from "./locality.ts";

describe.skipIf(!existsSync(CONFORMANCE))("Istio's localities (needs conformance data)", () => {
  it("are Weft's, but for those whose reason is written down", async () => {
    const verdicts = compareLocality(await readLines("locality.jsonl"));
    expect(verdicts.length).toBeGreaterThan(10);
    expect(verdicts.filter(({ agreed, reason }) => !agreed && reason.startsWith("Istio gives"))).toEqual([]);
  });
});
