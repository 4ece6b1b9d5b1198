// The filter dies in a real Envoy: what it costs, how the control plane hears of it, and that a fresh VM decides again.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../control-plane/test/free-ports.ts";
import { buildFilter } from "../../filter/build.ts";
import { type DynamicEnvoy, get, startDynamicEnvoy, statusOf, TestControlPlane, until } from "./dynamic-envoy.ts";
import { type NamedUpstream, startNamedUpstream } from "./static-envoy.ts";
import { cluster, decidedHost, endpoints, listener, trappingFilter, vhdsRoutes } from "./xds-resources.ts";

const WORKERS = 2;
const USERS = Array.from({ length: 60 }, (_, index) => `user-${index}`);

const controlPlane = new TestControlPlane(15_000);
let upstreams: readonly NamedUpstream[] = [];
let envoy: DynamicEnvoy;
let port = 0;
let wasm: Uint8Array;

function mesh(generation: number) {
  return [
    ...upstreams.flatMap((upstream) => [cluster(upstream.name), endpoints(upstream.name, upstream.port)]),
    listener("main", port, { filter: true }),
    vhdsRoutes("main"),
    decidedHost("main", "web", ["stable", "canary"]),
    trappingFilter(wasm, generation),
  ];
}

/** Where each user ends, asked on connections of their own, so that all workers answer. */
async function placesOf(users: readonly string[]): Promise<readonly unknown[]> {
  const places: unknown[] = [];
  for (const user of users) {
    const { status, headers } = await get(port, "web", { "x-user": user });
    expect(status).toBe(200);
    places.push(headers["x-upstream"]);
  }
  return places;
}

beforeAll(async () => {
  wasm = await readFile((await buildFilter()).path);
  upstreams = await Promise.all(["stable", "canary"].map(startNamedUpstream));
  port = await freePort();
  const xdsPort = await controlPlane.start();
  controlPlane.publish(mesh(0));
  envoy = await startDynamicEnvoy(xdsPort, WORKERS);
  await controlPlane.upToDate();
  await until("the listener serves", async () => (await statusOf(port)) === 200);
});

afterAll(async () => {
  await envoy?.close();
  await controlPlane.stop();
  await Promise.all(upstreams.map((upstream) => upstream.close()));
});

describe("a filter that dies", () => {
  it("costs one request per worker, is reported, and is replaced by one that decides the same; and so again", async () => {
    const places = await placesOf(USERS);
    expect(new Set(places)).toEqual(new Set(["stable", "canary"]));
    for (const generation of [1, 2]) {
      const told = controlPlane.deaths.length;
      const statuses: number[] = [];
      // Until every worker has had its turn; those whose filter is gone already answer by weight.
      for (let index = 0; index < 20 * WORKERS; index++) statuses.push((await get(port, "web", { "weft-test-trap": "1" })).status);
      const lost = statuses.filter((status) => status !== 200);
      expect(lost.length).toBeGreaterThan(0);
      expect(lost.length).toBeLessThanOrEqual(WORKERS);
      expect(new Set(lost)).toEqual(new Set([503]));
      if (lost.length === WORKERS) expect(await placesOf(USERS)).not.toEqual(places);
      await until("the death is reported", () => controlPlane.deaths.length > told);
      await controlPlane.apply(mesh(generation));
      expect(await placesOf(USERS)).toEqual(places);
    }
    expect(controlPlane.deaths.at(-1)).toBeLessThanOrEqual(2 * WORKERS);
  });

  it("is not reported again while the new one lives", async () => {
    const counted = async () => Number((await envoy.admin("/stats?filter=^weft.filter_deaths$")).split(": ")[1]);
    await until("all deaths are told", async () => controlPlane.deaths.at(-1) === (await counted()));
    const told = controlPlane.deaths.length;
    const uptime = async () => Number((await envoy.admin("/stats?filter=^server.uptime$")).split(": ")[1]);
    // Two more reports at least.
    const thenS = await uptime();
    await until("time has passed", async () => (await uptime()) >= thenS + 3);
    expect(controlPlane.deaths).toHaveLength(told);
  });

  it("is told once more to a control plane that was away, and not to one that knows the count", async () => {
    await controlPlane.stop();
    const told = controlPlane.deaths.length;
    await controlPlane.start();
    controlPlane.publish(mesh(2));
    await until("the count is told", () => controlPlane.deaths.length > told);
    expect(controlPlane.deaths.at(-1)).toBe(controlPlane.deaths.at(told - 1));
  });
});
