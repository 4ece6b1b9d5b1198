// When garbage is collected: in an idle second, where enough has come since the last time.
import { describe, expect, it } from "vitest";
import { createLook } from "./idle-collection.ts";

const MB = 1_048_576;

/** Looks once a second at a process that holds so many MB and has used so many milliseconds of CPU in that second; says at which of them it was collected down to 100 MB. */
function collections(seconds: readonly { readonly heldMb: number; readonly cpuMs: number }[]): readonly number[] {
  const collected: number[] = [];
  let [held, cpu, second] = [100 * MB, 0, 0];
  const look = createLook({
    heldBytes: () => held,
    cpuMicros: () => cpu,
    collect: () => {
      collected.push(second);
      held = 100 * MB;
    },
  });
  for (const { heldMb, cpuMs } of seconds) {
    held = heldMb * MB;
    cpu += cpuMs * 1_000;
    look();
    second += 1;
  }
  return collected;
}

describe("garbage", () => {
  it("is collected in the first idle second after a burst", () => {
    expect(
      collections([
        { heldMb: 400, cpuMs: 900 },
        { heldMb: 500, cpuMs: 900 },
        { heldMb: 500, cpuMs: 20 },
        { heldMb: 100, cpuMs: 20 },
      ]),
    ).toEqual([2]);
  });

  it("is left where little has come", () => {
    expect(
      collections([
        { heldMb: 120, cpuMs: 0 },
        { heldMb: 140, cpuMs: 0 },
      ]),
    ).toEqual([]);
  });

  it("is counted from what is held after V8 itself has collected", () => {
    expect(
      collections([
        { heldMb: 60, cpuMs: 0 },
        { heldMb: 115, cpuMs: 0 },
      ]),
    ).toEqual([1]);
  });
});
