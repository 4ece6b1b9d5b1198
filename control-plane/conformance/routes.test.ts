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

  it("would not do the same had Istio sent requests elsewhere, in another order, or with another timeout", async () => {
    const lines = await readLines("routes.jsonl");
    const texts = lines.map((line) => JSON.stringify(line));
    const changed = (change: (text: string) => string): number => {
      const other = texts.map((text, index) => {
        const at = text.indexOf('"routes":');
        const now = text.slice(0, at) + change(text.slice(at));
        return now === text ? [] : [{ line: JSON.parse(now), index }];
      });
      return compareRoutes(other.flat().map(({ line }) => line)).filter(({ agreed }) => agreed).length;
    };
    expect(changed((text) => text.replace(/"cluster":"outbound\|(\d+)\|/, '"cluster":"outbound|1$1|'))).toBe(0);
    expect(changed((text) => text.replace('"timeout":"0s"', '"timeout":"7s"'))).toBe(0);
    expect(changed((text) => text.replace('"prefix":"/', '"prefix":"/other/'))).toBe(0);
    expect(changed((text) => text.replace('"numRetries":2', '"numRetries":3'))).toBe(0);
  });
});
