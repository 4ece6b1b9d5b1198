// What a cluster does to a mesh, under load and without a lost request: pods that are ready now and then, a node that is gone, no API server, no control plane, no
// webhook.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, until } from "../../envoy/e2e/mesh.ts";
import type { Pod } from "./kubelet/objects.ts";
import { countKeys, type PodLoad } from "./pod-load.ts";
import { startWeftCluster, type WeftCluster } from "./weft-cluster.ts";

const AWAY_MS = 120_000;

const workloadOf = (pod: string): string => pod.split("-").slice(0, -2).join("-");

describe("a mesh in a cluster", () => {
  let cluster: WeftCluster;
  beforeAll(async () => {
    cluster = await startWeftCluster();
    await cluster.applyFiles(join(EXAMPLES, "shop"), ["order-history.yaml", "product.yaml"]);
    await cluster.readyPods(3, { app: "order-history" });
    await cluster.readyPods(3, { app: "product" });
  });
  afterAll(() => cluster?.close());

  const only = async (labels: Readonly<Record<string, string>>, namespace?: string): Promise<Pod> => {
    const [pod] = await cluster.readyPods(1, labels, namespace);
    if (pod === undefined) throw new Error("unreachable: one pod was awaited");
    return pod;
  };
  const loadFrom = async (zone: string): Promise<PodLoad> =>
    cluster.load(await only({ app: "product", zone }), {
      url: "http://order-history:9090/order-histories",
      connections: 4,
      ratePerSecond: 200,
      key: "x-served-by",
    });
  const endWithoutLoss = async (load: PodLoad): Promise<void> => {
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
  };

  it("loses no request when a pod is ready and not ready by turns", async () => {
    const load = await loadFrom("b");
    const pod = await only({ app: "order-history", zone: "b" });
    for (let turn = 0; turn < 3; turn++) {
      await cluster.kubelet.setReady(pod, "order-history", false);
      await until("the neighbours alone", async () => (countKeys(await load.next(50), workloadOf)["order-history-b"] === undefined ? true : undefined));
      await cluster.kubelet.setReady(pod, "order-history", true);
      await until("the zone's own copy alone", async () => (countKeys(await load.next(50), workloadOf)["order-history-b"] === 50 ? true : undefined));
    }
    await endWithoutLoss(load);
  });

  it("loses no request when the control plane is rolled", async () => {
    const load = await loadFrom("b");
    await load.next(100);
    const before = await cluster.pods({ app: "weft-control-plane" }, "weft-system");
    await cluster.kubectl(["-n", "weft-system", "rollout", "restart", "deployment/weft-control-plane"]);
    await cluster.kubectl(["-n", "weft-system", "rollout", "status", "deployment/weft-control-plane", "--timeout=120s"]);
    await cluster.readyPods(before.length, { app: "weft-control-plane" }, "weft-system", 120_000);
    // The new one is heard: a change comes through.
    await cluster.kubectl(["scale", "deployment", "order-history-b", "--replicas=0"]);
    await until("the neighbours alone", async () => (countKeys(await load.next(50), workloadOf)["order-history-b"] === undefined ? true : undefined));
    await cluster.kubectl(["scale", "deployment", "order-history-b", "--replicas=1"]);
    await cluster.readyPods(1, { app: "order-history", zone: "b" });
    await endWithoutLoss(load);
  });

  it(`loses no request while the API server is away for ${AWAY_MS / 1_000} s, and follows it when it is back`, { timeout: AWAY_MS + 180_000 }, async () => {
    const load = await loadFrom("b");
    await load.next(100);
    await cluster.stopApiServer();
    await sleep(AWAY_MS);
    await cluster.startApiServer();
    await cluster.kubectl(["scale", "deployment", "order-history-b", "--replicas=0"]);
    await until("the neighbours alone", async () => (countKeys(await load.next(50), workloadOf)["order-history-b"] === undefined ? true : undefined), 90_000);
    await cluster.kubectl(["scale", "deployment", "order-history-b", "--replicas=1"]);
    await cluster.readyPods(1, { app: "order-history", zone: "b" });
    await endWithoutLoss(load);
  });

  it("makes no pod without its proxy while the webhook is down, and makes it when it is back", async () => {
    await cluster.kubectl(["-n", "weft-system", "scale", "deployment/weft-control-plane", "--replicas=0"]);
    await cluster.readyPods(0, { app: "weft-control-plane" }, "weft-system");
    await until("no endpoint of the webhook", async () =>
      (await cluster.readyAddresses("weft-control-plane", "weft-system")).length === 0 ? true : undefined,
    );
    await cluster.kubectl(["scale", "deployment", "order-history-c", "--replicas=2"]);
    await until("the ReplicaSet's refusal", async () => {
      const events = await cluster.kubectl(["get", "events", "--field-selector=reason=FailedCreate", "-o", "jsonpath={.items[*].message}"]);
      return events.includes("failed calling webhook") ? true : undefined;
    });
    expect(await cluster.pods({ app: "order-history", zone: "c" })).toHaveLength(1);
    await cluster.kubectl(["-n", "weft-system", "scale", "deployment/weft-control-plane", "--replicas=1"]);
    const pods = await cluster.readyPods(2, { app: "order-history", zone: "c" }, "default", 120_000);
    for (const pod of pods) expect(pod.metadata.annotations?.["weft.mesh/status"]).toBeDefined();
  });

  it("answers from other zones when a node is gone", async () => {
    const load = await loadFrom("b");
    await load.next(50);
    await cluster.kubelet.failNode("node-a");
    // Connections to it are not refused, they are not answered: until Kubernetes says so, callers in the zone would wait. Those of other zones do not call it.
    await until("a node that is not ready", async () => {
      const [pod] = await cluster.pods({ app: "order-history", zone: "a" });
      return pod?.status.conditions?.some(({ type, status }) => type === "Ready" && status !== "True") ? true : undefined;
    });
    await cluster.kubectl(["scale", "deployment", "order-history-b", "--replicas=0"]);
    await until("zone c alone", async () => (countKeys(await load.next(50), workloadOf)["order-history-c"] === 50 ? true : undefined));
    await endWithoutLoss(load);
  });
});
