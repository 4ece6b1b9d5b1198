// The routes that Istio made of VirtualServices in its unit tests: would Envoy do the same with Weft's?
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CONFORMANCE, readLines } from "./lines.ts";
import { compareRoutes } from "./routes.ts";
import { tally } from "./verdict.ts";

describe.skipIf(!existsSync(CONFORMANCE))("Istio's routes (needs conformance data)", () => {
  it("do in Envoy what Weft's do, for at least 95 in 100 VirtualServices", async () => {
    const verdicts = compareRoutes(await readLines("routes.jsonl"));
    const { agreed, counted } = tally(verdicts);
    expect(counted).toBeGreaterThan(0);
    const reasons = verdicts.flatMap(({ id, reason }) => (reason === "" ? [] : [`${id}: ${reason}`]));
    expect(agreed / counted, reasons.join("\n")).toBeGreaterThanOrEqual(0.95);
  });
});
