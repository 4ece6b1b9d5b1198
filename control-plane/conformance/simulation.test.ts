import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CONFORMANCE, readLines } from "./lines.ts";
import { compareSimulations } from "./simulation.ts";
import { tally } from "./verdict.ts";

const hasData = existsSync(join(CONFORMANCE, "simulation.jsonl"));

describe.skipIf(!hasData)("requests through Istio's simulator and through Weft's (needs conformance data)", () => {
  it("reach the same cluster in at least 95 of 100 lines", async () => {
    const verdicts = compareSimulations(await readLines("simulation.jsonl"));
    const { agreed, counted } = tally(verdicts);
    const reasons = verdicts.filter((verdict) => !verdict.agreed).map(({ id, reason }) => `${id}: ${reason}`);
    expect(agreed / counted, reasons.join("\n")).toBeGreaterThanOrEqual(0.95);
  });
});
