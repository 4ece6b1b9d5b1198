// Argo Rollouts' own controller drives VirtualServices and DestinationRules of its own end-to-end tests; traffic follows each step.
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONFORMANCE } from "../../control-plane/conformance/lines.ts";
import { until } from "../../envoy/e2e/mesh.ts";
import { type Rollouts, rolloutManifest, startArgoRollouts } from "./argo-rollouts.ts";
import type { PodLoad } from "./pod-load.ts";
import { startWeftCluster, type WeftCluster } from "./weft-cluster.ts";

/** What the load may take to follow a step. */
const FOLLOWS_MS = 2_000;
/** Answers by which a share is measured: four standard deviations are 2 points at a half, 1.2 at a tenth. */
const SAMPLE = 10_000;
const POINTS = 2;

describe.skipIf(!existsSync(CONFORMANCE))("Argo Rollouts (needs conformance data)", () => {
  let cluster: WeftCluster;
  let rollouts: Rollouts;
  beforeAll(async () => {
    cluster = await startWeftCluster();
    rollouts = await startArgoRollouts(cluster);
    await cluster.apply(CLIENT);
    await cluster.readyPods(1, { app: "client" });
  });
  afterAll(async () => {
    await rollouts?.close();
    await cluster?.close();
  });

  const startLoad = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<PodLoad> => {
    const [client] = await cluster.readyPods(1, { app: "client" });
    if (client === undefined) throw new Error("unreachable: one pod was awaited");
    await until("an answer", async () => ((await cluster.ask(client, url, headers)).status === 200 ? true : undefined));
    return cluster.load(client, { url, headers, connections: 8, ratePerSecond: 1_500, key: "x-served-by" });
  };
  /** Percent of the answers that come from the revision's pods, measured from `FOLLOWS_MS` after now. */
  const share = async (load: PodLoad, podHash: string): Promise<number> => {
    const fromMs = Date.now() + FOLLOWS_MS;
    while (Date.now() < fromMs) await load.next(100);
    const answers = await load.next(SAMPLE);
    // By label: the names of pods of a long name are cut off before the revision.
    const revision = new Set((await cluster.pods({ "rollouts-pod-template-hash": podHash })).map(({ metadata }) => metadata.name));
    return (answers.filter(({ key }) => revision.has(key)).length * 100) / answers.length;
  };
  const paused = (name: string, step: number) =>
    rollouts.reaches(
      name,
      ({ phase, currentStepIndex, pauseConditions = [] }) => phase === "Paused" && currentStepIndex === step && pauseConditions.length > 0,
    );

  it.each([
    { name: "istio-subset-split", steps: [10] },
    { name: "istio-subset-split-in-stable-downscale-after-canary-abort", steps: [10, 20, 30, 50] },
  ])("$name: the share follows each step, and an abort gives everything back without a failed request", async ({ name, steps }) => {
    await cluster.apply(await rolloutManifest(CONFORMANCE, name));
    await rollouts.reaches(name, ({ phase }) => phase === "Healthy");
    const load = await startLoad(`http://${name}/color`);
    await rollouts.revise(name);
    for (const [index, weight] of steps.entries()) {
      const { currentPodHash = "" } = await paused(name, index * 2 + 1);
      const percent = await share(load, currentPodHash);
      expect(Math.abs(percent - weight), `${percent} % at weight ${weight}`).toBeLessThanOrEqual(POINTS);
      if (index + 1 < steps.length) await rollouts.promote(name);
    }
    const { currentPodHash = "" } = await rollouts.status(name);
    await rollouts.abort(name);
    await rollouts.reaches(name, ({ phase }) => phase === "Degraded");
    expect(await share(load, currentPodHash)).toBe(0);
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
    await cluster.kubectl(["delete", "rollout,service,virtualservice,destinationrule", "-l", "!provider", "--wait=false"]);
  });

  it("istio-host-split: a rollout that is promoted to its end becomes the stable one without a failed request", async () => {
    const name = "istio-host-split";
    await cluster.apply(await rolloutManifest(CONFORMANCE, name));
    await rollouts.reaches(name, ({ phase }) => phase === "Healthy");
    // The VirtualService's host is no Service: the request names it, and goes to one that is.
    const load = await startLoad(`http://${name}-stable/color`, { host: name });
    await rollouts.revise(name);
    const { currentPodHash = "" } = await paused(name, 1);
    const percent = await share(load, currentPodHash);
    expect(Math.abs(percent - 10), `${percent} %`).toBeLessThanOrEqual(POINTS);
    await rollouts.promote(name);
    await rollouts.reaches(name, ({ phase, stableRS }) => phase === "Healthy" && stableRS === currentPodHash);
    expect(await share(load, currentPodHash)).toBe(100);
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
  });
});

const CLIENT = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: client }
spec:
  selector: { matchLabels: { app: client } }
  template:
    metadata: { labels: { app: client } }
    spec:
      containers:
        - name: client
          image: page:1
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /healthz, port: http } }
`;
