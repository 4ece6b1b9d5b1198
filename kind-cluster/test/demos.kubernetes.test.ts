// Both demos on a real API server with injected pods: locality with a copy that goes and comes back, and a canary by editing a VirtualService.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLoad } from "../../envoy/e2e/load.ts";
import { EXAMPLES, until } from "../../envoy/e2e/mesh.ts";
import type { Pod } from "./kubelet/objects.ts";
import { countKeys } from "./pod-load.ts";
import { startWeftCluster, type WeftCluster } from "./weft-cluster.ts";

const USERS = 500;
const VIRTUAL_SERVICE = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/color";

let cluster: WeftCluster;
beforeAll(async () => {
  cluster = await startWeftCluster();
});
afterAll(() => cluster?.close());

/** `order-history-a` of `order-history-a-6fc597f686-nss5r`. */
const workloadOf = (pod: string): string => pod.split("-").slice(0, -2).join("-");
const only = async (labels: Readonly<Record<string, string>>, namespace?: string): Promise<Pod> => {
  const [pod] = await cluster.readyPods(1, labels, namespace);
  if (pod === undefined) throw new Error("unreachable: one pod was awaited");
  return pod;
};

describe("the locality demo", () => {
  beforeAll(async () => {
    await cluster.applyFiles(join(EXAMPLES, "shop"), ["order-history.yaml", "product.yaml"]);
    await cluster.readyPods(3, { app: "order-history" });
    await cluster.readyPods(3, { app: "product" });
  });

  it("answers each zone's products with the order history of that zone", async () => {
    for (const zone of ["a", "b", "c"]) {
      const product = await only({ app: "product", zone });
      const served = async (): Promise<string> => {
        // Its own address: as if a request of somebody else had reached it.
        const answer = await cluster.ask(product, `http://${product.status.podIP}:9090/products`);
        expect(answer).toMatchObject({ status: 200 });
        return workloadOf(answer.headers?.["x-order-history-served-by"] ?? "");
      };
      // That a pod is ready is known to the API server first, then to its callers.
      await until("the zone's own copy", async () => ((await served()) === `order-history-${zone}` ? true : undefined));
      for (let request = 0; request < 10; request++) expect(await served()).toBe(`order-history-${zone}`);
    }
    expect(await cluster.log(await only({ app: "order-history", zone: "b" }), "order-history")).toContain("GET /order-histories");
  });

  it("loses no request when the zone's copy goes and comes back, and traffic comes home", async () => {
    const load = cluster.load(await only({ app: "product", zone: "a" }), {
      url: "http://order-history:9090/order-histories",
      connections: 4,
      ratePerSecond: 200,
      key: "x-served-by",
    });
    expect(countKeys(await load.next(300), workloadOf)).toEqual({ "order-history-a": 300 });
    await cluster.kubectl(["scale", "deployment", "order-history-a", "--replicas=0"]);
    await until("the neighbours alone", async () => (countKeys(await load.next(100), workloadOf)["order-history-a"] === undefined ? true : undefined));
    await cluster.kubectl(["scale", "deployment", "order-history-a", "--replicas=1"]);
    await until("the zone's own copy alone", async () => (countKeys(await load.next(100), workloadOf)["order-history-a"] === 100 ? true : undefined));
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
  });
});

describe("the canary demo", () => {
  let url: string;
  beforeAll(async () => {
    await cluster.applyFiles(join(EXAMPLES, "blue-green"), ["color.yaml", "page.yaml", "traffic.yaml"]);
    await cluster.readyPods(2, { app: "color" });
    await cluster.readyPods(1, { app: "page" });
    url = `http://${(await cluster.gateway()).status.podIP}`;
    for (const path of ["/color", "/"])
      await until(`the gateway's route to ${path}`, async () => ((await fetch(`${url}${path}`)).status === 200 ? true : undefined));
  });

  /** As `kubectl edit virtualservice color`: the first route's two weights. In force when the object says that every proxy has it. */
  const setWeights = async (stable: number, canary: number): Promise<void> => {
    await cluster.api.patch(
      VIRTUAL_SERVICE,
      [
        { op: "replace", path: "/spec/http/0/route/0/weight", value: stable },
        { op: "replace", path: "/spec/http/0/route/1/weight", value: canary },
      ],
      "json",
    );
    await cluster.programmed(VIRTUAL_SERVICE);
  };
  /** The colour that each of the users gets now. */
  const colors = async (headers: (user: number) => Record<string, string>): Promise<ReadonlyMap<number, string>> => {
    const byUser = new Map<number, string>();
    const load = startLoad({
      url: `${url}/color`,
      connections: 8,
      total: USERS,
      headers,
      onResponse: ({ index, body }) => byUser.set(index, JSON.parse(body).color),
    });
    expect((await load.finished).errors).toEqual([]);
    return byUser;
  };
  const sticky = (user: number): Record<string, string> => ({ "x-user": `user-${user}` });
  const green = (byUser: ReadonlyMap<number, string>): ReadonlySet<number> =>
    new Set([...byUser].filter(([, color]) => color === "green").map(([user]) => user));

  it("serves the page", async () => {
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("<html");
  });

  it("gives the canary its weight's share, and every user who is in it stays while the weight rises", async () => {
    expect(green(await colors(sticky)).size).toBe(0);
    await setWeights(90, 10);
    const ten = green(await colors(sticky));
    expect(green(await colors(sticky))).toEqual(ten);
    await setWeights(50, 50);
    const fifty = green(await colors(sticky));
    expect([...ten].filter((user) => !fifty.has(user))).toEqual([]);
    // 500 users: four standard deviations are 5.4 and 8.9 points.
    expect(Math.abs(ten.size / USERS - 0.1)).toBeLessThan(0.054);
    expect(Math.abs(fifty.size / USERS - 0.5)).toBeLessThan(0.09);
    await setWeights(100, 0);
    expect(green(await colors(sticky)).size).toBe(0);
  });

  it("rolls stable to another image without losing a request", async () => {
    const load = startLoad({ url: `${url}/color`, connections: 4, ratePerSecond: 200, headers: sticky });
    await load.more(100);
    await cluster.kubectl(["set", "image", "deployment/stable", "color=color:green"]);
    await until("only green answers", async () => (green(await colors(sticky)).size === USERS ? true : undefined), 60_000);
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
  });
});
