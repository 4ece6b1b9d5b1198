import { describe, expect, it } from "vitest";
import { createRoot, type Issuer, issueLeaf, type Leaf } from "./certificates.ts";
import { createProxyLeaves, type ProxyLeaves } from "./proxy-leaves.ts";
import { leafVersion } from "./sds-version.ts";
import { rootsSecret } from "./secrets.ts";

const LIFETIME_MS = 100_000;
const URI = "spiffe://cluster.local/ns/default/sa/web";
const HOLDS_NOTHING = new Map<string, string>();
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Turned by hand. */
class TestClock {
  ms = 1_000_000_000_000;
  private readonly timers = new Set<{ readonly atMs: number; readonly call: () => void }>();
  readonly nowMs = (): number => this.ms;
  readonly after = (delayMs: number, call: () => void): (() => void) => {
    const timer = { atMs: this.ms + delayMs, call };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  };

  turn(ms: number): void {
    const endMs = this.ms + ms;
    for (;;) {
      const [next] = [...this.timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.timers.delete(next);
      this.ms = Math.max(this.ms, next.atMs);
      next.call();
    }
    this.ms = endMs;
  }
}

interface Made {
  readonly leaves: ProxyLeaves;
  readonly clock: TestClock;
  readonly issued: Leaf[];
  /** Resolves when `count` leaves have been made. */
  readonly made: (count: number) => Promise<unknown>;
}

async function make(issuer: Issuer, clock = new TestClock()): Promise<Made> {
  const issued: Leaf[] = [];
  const leaves = createProxyLeaves({
    clock,
    logger: quiet,
    epochMs: clock.nowMs,
    lifetimeMs: LIFETIME_MS,
    fingerprint: () => issuer.fingerprint,
    roots: () => rootsSecret(issuer.rootsPem),
    onChange: () => undefined,
    issue: async () => {
      const leaf = await issueLeaf(issuer, { uri: URI, nowMs: clock.ms, lifetimeMs: LIFETIME_MS });
      issued.push(leaf);
      return leaf;
    },
  });
  const made = (count: number): Promise<unknown> =>
    expect.poll(() => issued.length === count && leaves.leafOf("web-1")?.serial === issued.at(-1)?.serial).toBe(true);
  return { leaves, clock, issued, made };
}

const names = ({ leaves }: Made): readonly string[] => [...leaves.secretsOf("web-1").resources.keys()];

describe("leaves of proxies", () => {
  it("are made when a proxy asks, and awaited until then", async () => {
    const made = await make(await createRoot(1, Date.now()));
    expect([names(made), [...made.leaves.secretsOf("web-1").awaited]]).toEqual([["ROOTCA"], ["default"]]);
    made.leaves.asked("web-1", ["kubernetes://default/shop"], HOLDS_NOTHING);
    made.leaves.asked("web-1", ["ROOTCA"], HOLDS_NOTHING);
    expect(made.issued).toEqual([]);
    for (let time = 0; time < 5; time++) made.leaves.asked("web-1", ["default"], HOLDS_NOTHING);
    await made.made(1);
    expect([names(made), made.leaves.secretsOf("web-1").awaited.size]).toEqual([["ROOTCA", "default"], 0]);
    expect(made.leaves.secretsOf("web-1")).toBe(made.leaves.secretsOf("web-1"));
    made.leaves.close();
  });

  it("are renewed at half of their life, and no more once the proxy has gone", async () => {
    const made = await make(await createRoot(1, Date.now()));
    made.leaves.asked("web-1", ["default"], HOLDS_NOTHING);
    await made.made(1);
    made.clock.turn(LIFETIME_MS * 0.45);
    expect(made.issued).toHaveLength(1);
    made.clock.turn(LIFETIME_MS * 0.05);
    await made.made(2);
    made.leaves.left("web-1");
    made.clock.turn(LIFETIME_MS);
    expect([made.issued.length, names(made)]).toEqual([2, ["ROOTCA"]]);
  });

  it("stay where a proxy reports one that is not due, also of another control plane, and are renewed when it is", async () => {
    const issuer = await createRoot(1, Date.now());
    const clock = new TestClock();
    const former = await issueLeaf(issuer, { uri: URI, nowMs: clock.ms, lifetimeMs: LIFETIME_MS });
    clock.turn(LIFETIME_MS * 0.25);
    const made = await make(issuer, clock);
    made.leaves.asked("web-1", ["default"], new Map([["default", leafVersion(former)]]));
    expect([made.issued.length, [...made.leaves.secretsOf("web-1").awaited]]).toEqual([0, ["default"]]);
    clock.turn(LIFETIME_MS * 0.26);
    await made.made(1);
    made.leaves.close();
  });

  it.each([
    { what: "more than half of it is over", age: 0.6, ownIssuer: true },
    { what: "it comes from another root", age: 0.1, ownIssuer: false },
  ])("are made anew for a proxy that reports one when $what", async ({ age, ownIssuer }) => {
    const [issuer, other] = [await createRoot(1, Date.now()), await createRoot(2, Date.now())];
    const clock = new TestClock();
    const former = await issueLeaf(ownIssuer ? issuer : other, { uri: URI, nowMs: clock.ms, lifetimeMs: LIFETIME_MS });
    clock.turn(LIFETIME_MS * age);
    const made = await make(issuer, clock);
    made.leaves.asked("web-1", ["default"], new Map([["default", leafVersion(former)]]));
    await made.made(1);
    made.leaves.close();
  });

  it("are all renewed when asked to, each once", async () => {
    const made = await make(await createRoot(1, Date.now()));
    made.leaves.asked("web-1", ["default"], HOLDS_NOTHING);
    await made.made(1);
    made.leaves.renew(() => false);
    await made.made(2);
    made.leaves.renew(() => true);
    expect(made.issued).toHaveLength(2);
    made.leaves.close();
  });
});
