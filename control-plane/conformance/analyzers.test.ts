// Istio's analyzers on their own test files: same codes, levels and resources.
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compareAnalyzers } from "./analyzers.ts";
import { CONFORMANCE, readLines } from "./lines.ts";
import { tally } from "./verdict.ts";

/** Certificates of the recorded inputs are valid at this time. */
const RECORDED_MS = Date.parse("2026-08-22T00:00:00Z");

describe.skipIf(!existsSync(CONFORMANCE))("Istio's analyzers (needs conformance data)", () => {
  it("find what Weft's rules find, in at least 95 of 100 tests", async () => {
    const verdicts = compareAnalyzers(await readLines("analyzers.jsonl"), CONFORMANCE, RECORDED_MS);
    const { agreed, counted } = tally(verdicts);
    expect(counted).toBeGreaterThanOrEqual(40);
    const reasons = verdicts.filter((verdict) => verdict.excluded === undefined && !verdict.agreed).map(({ id, reason }) => `${id}: ${reason}`);
    expect(agreed / counted, reasons.join("\n")).toBeGreaterThanOrEqual(0.95);
  });
});
