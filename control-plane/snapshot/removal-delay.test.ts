import { describe, expect, it } from "vitest";
import { virtualServiceSpec } from "../model/virtual-service.ts";
import { removalDelayMs } from "./removal-delay.ts";

function delayOf(...routes: readonly object[]): number {
  return removalDelayMs([
    { spec: virtualServiceSpec.parse({ hosts: ["web"], http: routes.map((route) => ({ route: [{ destination: { host: "web" } }], ...route })) }) },
  ]);
}

const delayed = (fixedDelay: string) => ({ fault: { delay: { fixedDelay, percentage: { value: 10 } } } });

describe("how long a cluster outlives its routes", () => {
  it("is 15 s without faults and retries", () => {
    expect(removalDelayMs([])).toBe(15_000);
    expect(delayOf({})).toBe(15_000);
  });

  it("grows by the longest fault delay of any route", () => {
    expect(delayOf(delayed("2s"), delayed("7s"), {})).toBe(22_000);
  });

  it("grows by the timeout, within which all tries fall", () => {
    expect(delayOf({ timeout: "30s" })).toBe(45_000);
    expect(delayOf({ ...delayed("5s"), timeout: "30s" })).toBe(50_000);
  });

  it("grows by the window of all tries where that is longer", () => {
    expect(delayOf({ retries: { attempts: 3, perTryTimeout: "2s" } })).toBe(15_000 + 3 * 2_250);
  });
});
