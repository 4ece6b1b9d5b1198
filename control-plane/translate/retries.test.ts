import { describe, expect, it } from "vitest";
import { httpRetry } from "../model/virtual-service.ts";
import { retriesOf } from "./retries.ts";

describe("retries of a route", () => {
  it("differ by method where nothing is written: only what was not sent is sent again by a POST", () => {
    const retries = retriesOf(undefined, "weft", false);
    if (retries.kind !== "by method") throw new Error(retries.kind);
    expect(retries.others.retryOn?.split(",")).not.toContain("reset");
    expect(retries.repeatable.retryOn?.split(",")).toContain("reset");
    for (const { retryOn } of [retries.others, retries.repeatable]) expect(retryOn).not.toMatch(/5xx|unavailable|cancelled/);
  });

  it("are none for attempts: 0", () => {
    expect(retriesOf(httpRetry.parse({ attempts: 0 }), "weft", false)).toEqual({ kind: "none" });
  });

  it("take status codes among the conditions", () => {
    expect(retriesOf(httpRetry.parse({ attempts: 3, retryOn: "5xx, 429" }), "weft", false)).toMatchObject({
      kind: "alike",
      policy: { numRetries: 3, retryOn: "5xx,retriable-status-codes", retriableStatusCodes: [429] },
    });
  });

  it("are Istio's under its defaults, without previous hosts where hosts are chosen by a hash", () => {
    const plain = retriesOf(undefined, "istio", false);
    expect(plain).toMatchObject({
      kind: "alike",
      policy: { numRetries: 2, retryOn: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes" },
    });
    const hashed = retriesOf(undefined, "istio", true);
    expect(plain.kind === "alike" && plain.policy.retryHostPredicate?.length).toBe(1);
    expect(hashed.kind === "alike" && hashed.policy.retryHostPredicate).toBeUndefined();
  });
});
