// Demo 1 on real Envoys: traffic stays in the caller's zone, the neighbours answer when the zone's copy is stopped, and it comes home.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

const PRODUCTS =
  '[{"id":1,"name":"라즈베리파이 4 8GB + 개발 키트","price":250000,"my_order_histories":[{"id":1,"ordered_at":"2022-10-18 19:30"},{"id":2,"ordered_at":"2022-10-21 18:03"},{"id":3,"ordered_at":"2022-10-23 12:25"},{"id":4,"ordered_at":"2022-10-29 13:16"}]},{"id":2,"name":"USB 32GB","price":12000,"my_order_histories":[{"id":5,"ordered_at":"2022-11-07 07:03"}]},{"id":3,"name":"맥북 프로 M1X","price":3200000,"my_order_histories":[{"id":6,"ordered_at":"2022-11-08 11:33"}]}]';

describe("locality demo", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "shop"));
  });
  afterAll(() => mesh?.close());

  const requestsLogged = async (workload: string): Promise<number> =>
    (await readFile(workloadNamed(mesh.ready, workload).log, "utf8")).split("GET /order-histories").length - 1;
  const servedBy = async (): Promise<string | undefined> => {
    const answer = await fetch(`${workloadNamed(mesh.ready, "product-a").url}/products`);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(PRODUCTS);
    return answer.headers.get("x-order-history-served-by")?.replace(/-\d+$/, "");
  };

  it("answers product's list, and only the caller's zone logs requests", async () => {
    for (let request = 0; request < 20; request++) expect(await servedBy()).toBe("order-history-a");
    await until("20 lines in the log of order-history-a", async () => ((await requestsLogged("order-history-a")) === 20 ? true : undefined));
    expect(await requestsLogged("order-history-b")).toBe(0);
    expect(await requestsLogged("order-history-c")).toBe(0);
  });

  it("writes an access log with response flags for each sidecar, names that the mesh does not know included", async () => {
    const product = workloadNamed(mesh.ready, "product-a");
    await until("an access log line", async () => ((await readFile(product.accessLog, "utf8")).includes("outbound|9090||order-history") ? true : undefined));
    const proxied = await proxyGet(product.httpProxy, "http://nowhere.invalid/x");
    expect(proxied).toBe(503);
    await until("the unknown name in the access log", async () => ((await readFile(product.accessLog, "utf8")).includes("nowhere.invalid") ? true : undefined));
  });

  it("loses no request when the zone's copy is stopped and started again, and traffic comes home", async () => {
    const url = `${serviceUrl(mesh.ready, "product-a", "order-history")}/order-histories`;
    const served = new Map<string, number>();
    let last = "";
    const load = startLoad({
      url,
      connections: 4,
      ratePerSecond: 300,
      onResponse: ({ headers }) => {
        last = String(headers["x-served-by"]).replace(/-\d+$/, "");
        served.set(last, (served.get(last) ?? 0) + 1);
      },
    });
    await load.more(200);
    const stopped = await mesh.weft("stop", "order-history-a");
    expect(stopped).toMatchObject({ code: 0 });
    await load.more(300);
    expect(["order-history-b", "order-history-c"]).toContain(last);
    const started = await mesh.weft("start", "order-history-a");
    expect(started).toMatchObject({ code: 0 });
    await until("traffic in zone a again", () => (last === "order-history-a" ? true : undefined));
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
    expect(served.get("order-history-a") ?? 0).toBeGreaterThan(0);
  });

  it("says through explain where a request goes", async () => {
    const { code, stdout } = await mesh.weft("explain", "--live", "--from", "product-a", "GET", "http://order-history:9090/order-histories", "-o", "json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ cluster: expect.stringContaining("outbound|9090||order-history.default.svc.cluster.local") });
  });
});

/** Status of a GET for an absolute URL through an HTTP proxy. */
async function proxyGet(proxy: string, url: string): Promise<number> {
  const { request } = await import("node:http");
  const { hostname, port } = new URL(proxy);
  return new Promise((resolve, reject) => {
    request({ host: hostname, port, path: url, headers: { host: new URL(url).host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}
