// A cluster of ten thousand pods that come and go: nothing is lost, changes are told together, and what is held does not grow.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Instance, Proxy } from "../mesh/instance.ts";
import { type FakeKubernetes, startFakeKubernetes } from "../source/fake-kubernetes.ts";
import { createKubernetesApi, type KubernetesApi, type KubernetesObject } from "../source/kubernetes-api.ts";
import { statusText } from "./inject/status.ts";
import { type ClusterRunning, watchRunning } from "./running.ts";

const PODS = "/api/v1/pods";
const COUNT = 10_000;
const CHANGES = 3_000;
const quiet = { info: () => undefined, warn: () => undefined };
const status = statusText({ version: "1", revision: "default", kind: "sidecar", initContainers: ["weft-proxy"], containers: [], volumes: [] });

function pod(index: number, ready: boolean): KubernetesObject {
  return {
    metadata: { name: `pod-${index}`, namespace: `ns-${index % 20}`, labels: { app: `app-${index % 1_000}` }, annotations: { "weft.mesh/status": status } },
    spec: { nodeName: `node-${index % 100}`, containers: [{ name: "main", ports: [{ containerPort: 8080 }] }] },
    status: {
      phase: "Running",
      podIP: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    },
  };
}

describe("ten thousand pods", () => {
  let server: FakeKubernetes;
  let api: KubernetesApi;
  let running: ClusterRunning;
  let instances: readonly Instance[] = [];
  let proxies: readonly Proxy[] = [];
  let told = 0;

  beforeAll(async () => {
    server = await startFakeKubernetes();
    api = createKubernetesApi({ url: server.url, headers: async () => ({}) });
    for (let index = 0; index < COUNT; index += 1) server.put(PODS, pod(index, true));
    running = watchRunning({
      api,
      logger: quiet,
      objects: new Map(),
      onChange: (nextInstances, nextProxies) => {
        [instances, proxies] = [nextInstances, nextProxies];
        told += 1;
      },
    });
    await running.synced;
    running.begin();
  });
  afterAll(async () => {
    await running.close();
    api.close();
    await server.close();
  });

  it("are told as one, then what changes in them together, whatever breaks", async () => {
    expect([instances.length, proxies.length, told]).toEqual([COUNT, COUNT, 1]);
    const truth = new Map<string, boolean>(Array.from({ length: COUNT }, (_, index) => [`pod-${index}`, true]));
    const before = new Map(instances.map((instance) => [instance.name, instance]));
    const touched = new Set<string>();
    for (let change = 0; change < CHANGES; change += 1) {
      const index = (change * 7_919) % COUNT;
      touched.add(`pod-${index}`);
      if (change % 5 === 0) {
        truth.delete(`pod-${index}`);
        server.remove(PODS, `pod-${index}`, `ns-${index % 20}`);
      } else {
        truth.set(`pod-${index}`, change % 2 === 0);
        server.put(PODS, pod(index, change % 2 === 0));
      }
      if (change === 1_000) server.breakWatches();
      if (change === 2_000) {
        server.compact();
        server.breakWatches();
      }
      if (change % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await vi.waitFor(() => expect(new Map(instances.map(({ name, ready }) => [name, ready]))).toEqual(truth), { timeout: 60_000, interval: 100 });
    expect(told).toBeLessThan(CHANGES / 10);
    // What nobody touched is the very object, so that nothing that follows looks at it again.
    expect(instances.filter((instance) => !touched.has(instance.name)).every((instance) => before.get(instance.name) === instance)).toBe(true);
    expect(proxies).toHaveLength(truth.size);
  });
});
