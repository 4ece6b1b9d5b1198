// The uneven case of demo 1 on real Envoys: zone c has three products and one order-history. Every order-history gets the same load, and no more
// than needed leaves the zone. Negative control: with locality switched off the zone means nothing.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh } from "./mesh.ts";

const REQUESTS = 600;
const explained = z.object({ candidates: z.array(z.object({ zones: z.array(z.object({ zone: z.string(), sharePercent: z.number() })) })) });

type Served = Readonly<Record<string, number>>;

describe("three products and one order-history in zone c", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    const uneven = (text: string): string => text.replace(/(name: product-c\nspec:\n {2}replicas: )1/, "$13");
    mesh = await startMesh(join(EXAMPLES, "shop"), {
      prepare: async (folder) => {
        const { readFile, writeFile } = await import("node:fs/promises");
        const path = join(folder, "product.yaml");
        await writeFile(path, uneven(await readFile(path, "utf8")));
      },
    });
  });
  afterAll(() => mesh?.close());

  /** Every product asks order-history through its own sidecar, all alike; who served, by the caller's zone. */
  const ask = async (): Promise<ReadonlyMap<string, Served>> => {
    const byZone = new Map<string, Record<string, number>>();
    const products = mesh.ready.workloads.filter(({ workload }) => workload.startsWith("product"));
    expect(products).toHaveLength(5);
    for (const { zone, services } of products) {
      const served = byZone.get(zone) ?? {};
      byZone.set(zone, served);
      const url = `${Object.entries(services).find(([name]) => name.startsWith("order-history"))?.[1]}/order-histories`;
      const onResponse = ({ headers }: { headers: Readonly<Record<string, unknown>> }): void => {
        const server = String(headers["x-served-by"]).replace(/-\d+$/, "");
        served[server] = (served[server] ?? 0) + 1;
      };
      expect(await startLoad({ url, connections: 4, total: REQUESTS, onResponse }).finished).toMatchObject({ failed: 0, errors: [] });
    }
    return byZone;
  };

  it("gives every order-history the same load with the least traffic across zones, and explain shows the split", async () => {
    const byZone = await ask();
    expect(Object.keys(byZone.get("ap-northeast-2a") ?? {})).toEqual(["order-history-a"]);
    expect(Object.keys(byZone.get("ap-northeast-2b") ?? {})).toEqual(["order-history-b"]);
    const fromC = byZone.get("ap-northeast-2c") ?? {};
    const total = (server: string): number => [...byZone.values()].reduce((sum, served) => sum + (served[server] ?? 0), 0);
    // A third of 3,000 each. Shares come in 64ths, and 1,800 draws have a standard deviation of 21: five of them, and one 64th of 1,800.
    for (const server of ["order-history-a", "order-history-b", "order-history-c"]) expect(Math.abs(total(server) - 1_000)).toBeLessThan(135);
    expect(fromC["order-history-c"]).toBeGreaterThan(865);

    const { code, stdout } = await mesh.weft("explain", "--live", "--from", "product-c", "GET", "http://order-history:9090/order-histories", "-o", "json");
    expect(code).toBe(0);
    const zones = explained.parse(JSON.parse(stdout)).candidates[0]?.zones ?? [];
    const share = (zone: string): number => zones.find((candidate) => candidate.zone.endsWith(zone))?.sharePercent ?? 0;
    // Five ninths stay, two ninths go to each neighbour, to a 64th.
    expect(Math.abs(share("2c") - 55.6)).toBeLessThan(1.6);
    for (const zone of ["2a", "2b"]) expect(Math.abs(share(zone) - 22.2)).toBeLessThan(1.6);
  });

  it("negative control: with locality off, zone a's product asks every zone", async () => {
    const from = await mesh.edit("order-history.yaml", (text) => text.replace("enabled: true", "enabled: false"));
    await mesh.event("applied", undefined, { from });
    const fromA = (await ask()).get("ap-northeast-2a") ?? {};
    expect(Object.keys(fromA).sort()).toEqual(["order-history-a", "order-history-b", "order-history-c"]);
  });
});
