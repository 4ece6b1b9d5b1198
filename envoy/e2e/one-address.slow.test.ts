// Both demos on a machine with one loopback address, as macOS has: ports of 127.0.0.1 take the place of addresses. Switched on, since Linux has more.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl, workloadNamed } from "./ready.ts";

describe("a mesh on one address", () => {
  let mesh: TestMesh | undefined;
  afterEach(() => mesh?.close());
  const start = async (example: string): Promise<TestMesh> => {
    mesh = await startMesh(join(EXAMPLES, example), { env: { WEFT_ADDRESSES: "ports" } });
    return mesh;
  };

  it("runs the locality demo: traffic stays in the zone, the neighbours stand in, and it comes home", async () => {
    const { ready, weft } = await start("shop");
    for (const { address, url, httpProxy, services, explain, sidecar } of ready.workloads) {
      const urls = [url, httpProxy, sidecar.admin, ...Object.values(services), ...Object.values(explain)];
      expect([address, ...urls.map((text) => new URL(text).hostname)].filter((host) => host !== "127.0.0.1")).toEqual([]);
      expect(new Set(urls).size).toBe(urls.length);
    }
    const servedBy = async (): Promise<string | undefined> => {
      const answer = await fetch(`${workloadNamed(ready, "product-a").url}/products`);
      expect(answer.status).toBe(200);
      return answer.headers.get("x-order-history-served-by")?.replace(/-\d+$/, "");
    };
    await until("traffic in zone a", async () => ((await servedBy()) === "order-history-a" ? true : undefined));
    for (let request = 0; request < 10; request++) expect(await servedBy()).toBe("order-history-a");
    expect(await weft("stop", "order-history-a")).toMatchObject({ code: 0 });
    expect(["order-history-b", "order-history-c"]).toContain(await servedBy());
    expect(await weft("start", "order-history-a")).toMatchObject({ code: 0 });
    await until("traffic in zone a again", async () => ((await servedBy()) === "order-history-a" ? true : undefined));
    const { stdout } = await weft("explain", "--live", "--from", "product-a", "GET", "http://order-history:9090/order-histories", "-o", "json");
    expect(JSON.parse(stdout)).toMatchObject({ cluster: expect.stringContaining("outbound|9090||order-history.default.svc.cluster.local") });
  });

  it("runs the canary demo: a weight that is edited decides for the users", async () => {
    const demo = await start("blue-green");
    const colors = async (): Promise<number> => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, user) =>
          fetch(`${gatewayUrl(demo.ready)}/color`, { headers: { "x-user": `user-${user}` } }).then((answer) => answer.text()),
        ),
      );
      return answers.filter((text) => text.includes("green")).length;
    };
    expect(await colors()).toBe(0);
    const text = await readFile(join(demo.folder, "traffic.yaml"), "utf8");
    const from = await demo.write("traffic.yaml", text.replace("weight: 100", "weight: 50").replace("weight: 0", "weight: 50"));
    await demo.event("applied", ({ files }) => files.includes("traffic.yaml"), { from });
    const green = await colors();
    expect(green).toBeGreaterThan(20);
    expect(green).toBeLessThan(80);
  });
});
