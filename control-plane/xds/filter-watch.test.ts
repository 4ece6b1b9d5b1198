import { describe, expect, it } from "vitest";
import type { Clock } from "./clock.ts";
import { createFilterWatch } from "./filter-watch.ts";

/** A clock that is turned by hand. */
class TestClock implements Clock {
  private timeMs = 0;
  private waiting: { readonly atMs: number; readonly call: () => void }[] = [];
  readonly nowMs = () => this.timeMs;
  readonly after = (delayMs: number, call: () => void) => {
    const wait = { atMs: this.timeMs + delayMs, call };
    this.waiting.push(wait);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== wait);
    };
  };
  turn(byMs: number): void {
    this.timeMs += byMs;
    const due = this.waiting.filter(({ atMs }) => atMs <= this.timeMs);
    this.waiting = this.waiting.filter(({ atMs }) => atMs > this.timeMs);
    for (const { call } of due) call();
  }
}

function watch() {
  const clock = new TestClock();
  const dead: string[] = [];
  const { report } = createFilterWatch(clock, (proxyId, deaths) => dead.push(`${proxyId} ${deaths}`));
  return { clock, dead, report };
}

describe("watching filters", () => {
  it("tells a death once, however often the count is reported", () => {
    const { dead, report } = watch();
    for (const deaths of [0, 0, 1, 1, 1]) report("a", deaths);
    expect(dead).toEqual(["a 1"]);
  });

  it("tells what died together as one, and each proxy by itself", () => {
    const { dead, report } = watch();
    report("a", 4);
    report("b", 1);
    expect(dead).toEqual(["a 4", "b 1"]);
  });

  it("takes a smaller count for an Envoy that started anew", () => {
    const { clock, dead, report } = watch();
    report("a", 3);
    report("a", 0);
    clock.turn(600_000);
    report("a", 1);
    expect(dead).toEqual(["a 3", "a 1"]);
  });

  it("waits longer and longer before it tells of a filter that keeps dying", () => {
    const clock = new TestClock();
    const toldAtMs: number[] = [];
    // Each fresh filter dies at once.
    const { report } = createFilterWatch(clock, (_, deaths) => {
      toldAtMs.push(clock.nowMs());
      if (deaths < 5) report("a", deaths + 1);
    });
    report("a", 1);
    while (toldAtMs.length < 5) clock.turn(100);
    const pausesMs = toldAtMs.slice(1).map((atMs, index) => atMs - (toldAtMs[index] ?? 0));
    expect(pausesMs).toEqual([1_000, 2_000, 4_000, 8_000]);
  });

  it("tells at once again after a calm time", () => {
    const { clock, dead, report } = watch();
    report("a", 1);
    report("a", 2);
    clock.turn(1_000);
    expect(dead).toEqual(["a 1", "a 2"]);
    clock.turn(600_000);
    report("a", 3);
    expect(dead).toEqual(["a 1", "a 2", "a 3"]);
  });
});
