import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PlannedInstance, planWorkload, type Step, type WorkloadTarget } from "./plan.ts";

const target = (replicas: number, digest = "new", zone = "a"): WorkloadTarget => ({ digest, zones: [{ zone, replicas }] });
const instance = (ordinal: number, state: PlannedInstance["state"], digest = "new", zone = "a"): PlannedInstance => ({ ordinal, zone, digest, state });
const text = (steps: readonly Step[]): readonly string[] =>
  steps.map((step) => (step.kind === "start" ? `start ${step.ordinal} in ${step.zone}` : `retire ${step.ordinal}`));

describe("plan of a workload", () => {
  it.each<{ name: string; target: WorkloadTarget | undefined; running: readonly PlannedInstance[]; steps: readonly string[] }>([
    { name: "starts all replicas at once", target: target(2), running: [], steps: ["start 1 in a", "start 2 in a"] },
    { name: "does nothing when all is as desired", target: target(1), running: [instance(1, "ready")], steps: [] },
    { name: "waits for one that starts", target: target(1), running: [instance(1, "unready")], steps: [] },
    { name: "scales up", target: target(3), running: [instance(1, "ready")], steps: ["start 2 in a", "start 3 in a"] },
    {
      name: "scales down: what is not ready first, then the highest number",
      target: target(1),
      running: [instance(1, "ready"), instance(2, "unready"), instance(3, "ready")],
      steps: ["retire 2", "retire 3"],
    },
    { name: "retires a workload that is gone", target: undefined, running: [instance(1, "ready"), instance(2, "retiring")], steps: ["retire 1"] },
    { name: "starts a new one before an old one goes", target: target(1), running: [instance(1, "ready", "old")], steps: ["start 2 in a"] },
    { name: "keeps the old one while the new one starts", target: target(1), running: [instance(1, "ready", "old"), instance(2, "unready")], steps: [] },
    {
      name: "retires the old one when the new one is ready",
      target: target(1),
      running: [instance(1, "ready", "old"), instance(2, "ready")],
      steps: ["retire 1"],
    },
    {
      name: "rolls one by one",
      target: target(3),
      running: [instance(1, "ready", "old"), instance(2, "ready", "old"), instance(3, "ready", "old")],
      steps: ["start 4 in a"],
    },
    {
      name: "starts the next replacement while an old one drains",
      target: target(2),
      running: [instance(1, "retiring", "old"), instance(2, "ready", "old"), instance(3, "ready")],
      steps: ["start 4 in a"],
    },
    {
      name: "replaces at once what serves nothing",
      target: target(1),
      running: [instance(1, "unready", "old")],
      steps: ["retire 1", "start 2 in a"],
    },
    {
      name: "gives up a replacement that is out of date itself, and keeps what serves",
      target: target(1, "newest"),
      running: [instance(1, "ready", "old"), instance(2, "unready", "new")],
      steps: ["retire 2", "start 3 in a"],
    },
    {
      name: "moves to another zone by making before breaking",
      target: target(1, "new", "b"),
      running: [instance(1, "ready", "old", "a")],
      steps: ["start 2 in b"],
    },
    { name: "takes a number that is free", target: target(2), running: [instance(2, "ready")], steps: ["start 1 in a"] },
  ])("$name", ({ target: wanted, running, steps }) => {
    expect(text(planWorkload(wanted, running))).toEqual(steps);
  });

  it("counts each zone by itself", () => {
    const zones = [
      { zone: "a", replicas: 1 },
      { zone: "b", replicas: 0 },
      { zone: "c", replicas: 1 },
    ];
    const running = [instance(1, "ready", "new", "a"), instance(2, "ready", "new", "b")];
    expect(text(planWorkload({ digest: "new", zones }, running))).toEqual(["retire 2", "start 3 in c"]);
  });

  it("reaches what is desired without ever serving with fewer instances than both plans ask for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 4 }), (before, replicas) => {
        let running: readonly PlannedInstance[] = Array.from({ length: before }, (_, index) => instance(index + 1, "ready", "old"));
        const floor = Math.min(before, replicas);
        for (let round = 0; round < 30; round++) {
          const steps = planWorkload(target(replicas), running);
          const retired = new Set(steps.flatMap((step) => (step.kind === "retire" ? [step.ordinal] : [])));
          const kept = running.filter(({ ordinal }) => !retired.has(ordinal));
          expect(kept.filter(({ state }) => state === "ready").length).toBeGreaterThanOrEqual(floor);
          const started = steps.flatMap((step) => (step.kind === "start" ? [instance(step.ordinal, "unready")] : []));
          expect(kept.length + started.length).toBeLessThanOrEqual(Math.max(before, replicas) + 1);
          // One of those that start becomes ready.
          const waking = kept.find(({ state }) => state === "unready")?.ordinal;
          running = [...kept.map((one) => (one.ordinal === waking ? { ...one, state: "ready" as const } : one)), ...started];
        }
        expect(running.filter(({ state, digest }) => state === "ready" && digest === "new").length).toBe(replicas);
        expect(running.length).toBe(replicas);
      }),
    );
  });
});
