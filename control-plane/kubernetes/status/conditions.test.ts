import { describe, expect, it } from "vitest";
import type { Diagnostic, Severity } from "../../model/diagnostic.ts";
import { type Condition, conditionsOf, difference, mergeConditions } from "./conditions.ts";

function finding(severity: Severity, code = "WEFT0203"): Diagnostic {
  return { code, severity, origin: { file: "default/VirtualService/a", line: 3, column: 1 }, what: "all weights are 0", fix: "give one a weight" };
}

describe("the conditions of an object", () => {
  it.each([
    ["every proxy has it", [], { needed: 3, taken: 3, current: true }, ["True Accepted ", "True Programmed 3/3 proxies"]],
    ["some have it", [], { needed: 3, taken: 1, current: true }, ["True Accepted ", "False Pending 1/3 proxies"]],
    ["one has two streams for a moment", [], { needed: 3, taken: 4, current: true }, ["True Accepted ", "True Programmed 3/3 proxies"]],
    ["nobody needs it", [], { needed: 0, taken: 0, current: true }, ["True Accepted ", "True NotNeeded no proxy needs it"]],
    [
      "it is wrong and never was right",
      [finding("error")],
      undefined,
      ["False Invalid WEFT0203 all weights are 0. Fix: give one a weight; nothing of it serves", "False Invalid no proxy has anything of it"],
    ],
    [
      "it is wrong and was right before",
      [finding("error")],
      { needed: 2, taken: 2, current: false },
      [
        "False Invalid WEFT0203 all weights are 0. Fix: give one a weight; its last good version serves meanwhile",
        "False Invalid 2/2 proxies have its last good version",
      ],
    ],
    [
      "it may not be as its author thinks",
      [finding("warning")],
      { needed: 1, taken: 1, current: true },
      ["True Accepted WEFT0203 all weights are 0. Fix: give one a weight", "True Programmed 1/1 proxies"],
    ],
    [
      "Envoy refuses it",
      [finding("error", "WEFT0701")],
      { needed: 1, taken: 0, current: true },
      ["True Accepted ", "False Refused WEFT0701 all weights are 0. Fix: give one a weight"],
    ],
  ] as const)("where %s", (_, diagnostics, progress, texts) => {
    const conditions = conditionsOf(diagnostics, progress, 7);
    expect(conditions.map(({ status, reason, message }) => `${status} ${reason} ${message}`)).toEqual(texts);
    expect(conditions.every(({ observedGeneration }) => observedGeneration === 7)).toBe(true);
  });

  it("leave others' conditions as they are, and the time of what has not changed", () => {
    const own = conditionsOf([], { needed: 1, taken: 1, current: true }, 1);
    const former: readonly Condition[] = [
      { type: "Reconciled", status: "True", reason: "", message: "istiod's" },
      { type: "Accepted", status: "True", reason: "Accepted", message: "", lastTransitionTime: "then" },
      { type: "Programmed", status: "False", reason: "Pending", message: "0/1 proxies", lastTransitionTime: "then" },
    ];
    expect(mergeConditions(former, own, "now").map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
      ["Reconciled", undefined],
      ["Accepted", "then"],
      ["Programmed", "now"],
    ]);
  });

  it("are written where the verdict is another one, later where only a count is, never where nothing is", () => {
    const own = conditionsOf([], { needed: 4, taken: 2, current: true }, 2);
    expect(difference({}, own, 2)).toBe("verdict");
    expect(difference({ observedGeneration: 1, conditions: own }, own, 2)).toBe("verdict");
    // A server may drop what its schema does not know, and may write numbers as texts.
    const stored = own.map(({ observedGeneration: _, ...rest }) => rest);
    expect(difference({ observedGeneration: "2", conditions: stored }, own, 2)).toBe("none");
    expect(difference({ observedGeneration: 2, conditions: own }, conditionsOf([], { needed: 4, taken: 3, current: true }, 2), 2)).toBe("count");
    expect(difference({ observedGeneration: 2, conditions: own }, conditionsOf([], { needed: 4, taken: 4, current: true }, 2), 2)).toBe("verdict");
  });
});
