// Istio's own verdicts, recorded from its unit tests, on every kind and its parts: would it accept this?
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CONFORMANCE, readLines } from "./lines.ts";
import { compareValidation } from "./validate.ts";
import { tally, type Verdict } from "./verdict.ts";

/** Least share of agreement, by kind; every other kind, and every part, needs {@link LEAST_AGREEMENT}. */
const LEAST_OF: Readonly<Record<string, number>> = { EnvoyFilter: 0.95, ProxyConfig: 0.95, Telemetry: 0.95, WasmPlugin: 0.95, TrafficExtension: 0.9 };
const LEAST_AGREEMENT = 0.98;
const SECURITY: ReadonlySet<string> = new Set(["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"]);

function share(verdicts: readonly Verdict[]): number {
  const { agreed, counted } = tally(verdicts);
  return counted === 0 ? 1 : agreed / counted;
}

describe.skipIf(!existsSync(CONFORMANCE))("Istio's verdicts (needs conformance data)", () => {
  it("on the traffic kinds and their parts are Weft's too, for at least 98 in 100 inputs", async () => {
    const verdicts = compareValidation([...(await readLines("validate.jsonl")), ...(await readLines("validate_part.jsonl"))]);
    const traffic = verdicts.filter(({ group = "" }) => LEAST_OF[group] === undefined && !SECURITY.has(group));
    expect(traffic.length).toBeGreaterThan(300);
    expect(share(traffic), traffic.map(({ reason }) => reason).join("\n")).toBeGreaterThanOrEqual(LEAST_AGREEMENT);
  });

  it("on the security kinds are Weft's too, for at least 98 in 100 inputs", async () => {
    const verdicts = compareValidation(await readLines("validate.jsonl")).filter(({ group = "" }) => SECURITY.has(group));
    expect(verdicts.length).toBeGreaterThan(50);
    expect(share(verdicts)).toBeGreaterThanOrEqual(LEAST_AGREEMENT);
  });

  it.each(Object.entries(LEAST_OF))("on %s are Weft's too", async (kind, least) => {
    expect(share(compareValidation(await readLines("validate.jsonl")).filter(({ group }) => group === kind))).toBeGreaterThanOrEqual(least);
  });
});
