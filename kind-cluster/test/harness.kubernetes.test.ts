// The harness itself: a plain pod in a cluster of the tests is what it is in any cluster.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import { EXAMPLES, until } from "../../envoy/e2e/mesh.ts";
import { startTestCluster, type TestCluster } from "./test-cluster.ts";

describe("a cluster for tests", () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster();
    for (const file of ["order-history.yaml", "product.yaml"]) {
      const documents = (await readFile(join(EXAMPLES, "shop", file), "utf8")).split(/^---$/m).filter((text) => !text.includes("istio.io"));
      await cluster.apply(documents.join("---"));
    }
  });
  afterAll(() => cluster?.close());

  it("runs Deployments as processes, in the zone that they ask for, and they call each other by name", async () => {
    const [history] = await cluster.readyPods(1, { app: "order-history", zone: "a" });
    expect(history?.spec.nodeName).toBe("node-a");
    await cluster.readyPods(3, { app: "order-history" });
    const [product] = await cluster.readyPods(1, { app: "product", zone: "b" });
    if (product === undefined) throw new Error("no pod");
    const answer = await cluster.ask(product, `http://${product.status.podIP}:9090/products`);
    expect(answer).toMatchObject({ status: 200, headers: { "x-order-history-served-by": expect.stringMatching(/^order-history-[abc]-/) } });
    expect(answer.body).toContain("my_order_histories");
    expect(await cluster.log(product, "product")).toContain("GET /products");
  });

  it("restarts a container whose program ends, and says so", async () => {
    const [before] = await cluster.readyPods(1, { app: "product", zone: "b" });
    if (before === undefined) throw new Error("no pod");
    cluster.kubelet.signal(before, "product", "SIGKILL");
    await until("one restart", async () => {
      const [pod] = await cluster.readyPods(1, { app: "product", zone: "b" });
      return pod?.status.containerStatuses?.[0]?.restartCount === 1 ? true : undefined;
    });
  });

  it("ends pods as their deletion says, takes their addresses out of the EndpointSlice, and takes away their networks", async () => {
    await cluster.kubectl(["scale", "deployment", "product-c", "--replicas=0"]);
    await cluster.readyPods(0, { app: "product", zone: "c" });
    const [pod] = await cluster.readyPods(1, { app: "order-history", zone: "b" });
    await cluster.kubectl(["delete", "pod", pod?.metadata.name ?? ""]);
    expect(await runTool("ip", ["netns", "list"])).not.toContain(pod?.metadata.name);
    const [next] = await cluster.readyPods(1, { app: "order-history", zone: "b" });
    expect(next?.metadata.name).not.toBe(pod?.metadata.name);
    await until("the new address alone", async () => {
      const addresses = await cluster.readyAddresses("order-history");
      return addresses.length === 3 && addresses.includes(next?.status.podIP ?? "") ? true : undefined;
    });
  });

  it("goes on running pods while the API server is away, and is the same cluster when it is back", async () => {
    const [pod] = await cluster.readyPods(1, { app: "product", zone: "a" });
    await cluster.stopApiServer();
    expect((await fetch(`http://${pod?.status.podIP}:9090/products`)).status).toBe(200);
    await cluster.startApiServer();
    const [same] = await cluster.readyPods(1, { app: "product", zone: "a" });
    expect(same?.metadata.uid).toBe(pod?.metadata.uid);
    await cluster.kubectl(["scale", "deployment", "product-c", "--replicas=1"]);
    await cluster.readyPods(1, { app: "product", zone: "c" });
  });

  it("says that the pods of a node are not ready when nothing is heard of it", async () => {
    await cluster.kubelet.failNode("node-a");
    await until("a pod that is not ready", async () => {
      const [pod] = await cluster.pods({ app: "order-history", zone: "a" });
      return pod?.status.conditions?.some(({ type, status }) => type === "Ready" && status !== "True") ? true : undefined;
    });
  });
});
