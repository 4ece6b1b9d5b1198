import { describe, expect, it } from "vitest";
import { createRefusalLog } from "./refusal-log.ts";

function logged(refuse: (log: ReturnType<typeof createRefusalLog>, turn: (ms: number) => void) => void): readonly object[] {
  const lines: object[] = [];
  let nowMs = 0;
  const logger = { info: () => undefined, error: () => undefined, warn: (fields: object) => void lines.push(fields) };
  const log = createRefusalLog(logger, { nowMs: () => nowMs, after: () => () => undefined });
  refuse(log, (ms) => {
    nowMs += ms;
  });
  return lines;
}

describe("the log of refusals", () => {
  it("says once what is refused again and again, and later how often", () => {
    const lines = logged((log, turn) => {
      for (let time = 0; time < 1_000; time++) log("expired", "10.0.0.1");
      turn(60_000);
      log("expired", "10.0.0.1");
    });
    expect(lines).toEqual([
      { reason: "expired", who: "10.0.0.1" },
      { reason: "expired", who: "10.0.0.1", refusedSince: 999 },
    ]);
  });

  it("tells reasons and names apart, but no more names than memory bears", () => {
    expect(
      logged((log) => {
        for (const who of ["a", "b", "a"]) log("expired", who);
      }),
    ).toHaveLength(2);
    const lines = logged((log) => {
      for (let index = 0; index < 100_000; index++) log("forged-node", `proxy-${index}`);
    });
    expect(lines.length).toBeLessThan(300);
  });
});
