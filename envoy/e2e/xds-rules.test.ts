// The xDS server against a real Envoy: what the model of Envoy in control-plane/xds/ claims, shown where it matters most. Resources are made by hand.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../control-plane/test/free-ports.ts";
import { type DynamicEnvoy, get, startDynamicEnvoy, statusOf, TestControlPlane, until } from "./dynamic-envoy.ts";
import { type NamedUpstream, startNamedUpstream } from "./static-envoy.ts";
import { cluster, endpoints, listener, vhdsRoutes, virtualHost } from "./xds-resources.ts";

const REMOVAL_DELAY_MS = 1_000;

const controlPlane = new TestControlPlane(REMOVAL_DELAY_MS);
let upstreams: readonly NamedUpstream[] = [];
let envoy: DynamicEnvoy;
let ports: { readonly main: number; readonly second: number };

/** A service under its upstream's name. */
function service(name: string, connectTimeoutS = 1) {
  return [cluster(name, connectTimeoutS), endpoints(name, upstreams.find((upstream) => upstream.name === name)?.port ?? 0)];
}

const main = () => [listener("main", ports.main), vhdsRoutes("main")];
const second = () => [listener("second", ports.second), vhdsRoutes("second"), virtualHost("second", "any", "api", { domains: ["*"] })];
const mesh = () => [...service("web"), ...service("api"), ...main(), virtualHost("main", "web", "web", { domains: ["*"] }), virtualHost("main", "api", "api")];

async function upstreamOf(port: number, host: string): Promise<unknown> {
  return (await get(port, host)).headers["x-upstream"];
}

/** Requests without a pause until stopped; the statuses other than 200. */
function constantLoad(port: number): { count(): number; stop(): Promise<readonly number[]> } {
  const failed: number[] = [];
  let count = 0;
  let stopped = false;
  const loop = async () => {
    while (!stopped) {
      const status = await statusOf(port);
      count += 1;
      if (status !== 200) failed.push(status);
    }
  };
  const loops = [loop(), loop(), loop(), loop()];
  return {
    count: () => count,
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
      return failed;
    },
  };
}

beforeAll(async () => {
  upstreams = await Promise.all(["web", "api", "late"].map(startNamedUpstream));
  ports = { main: await freePort(), second: await freePort() };
  const xdsPort = await controlPlane.start();
  controlPlane.publish(mesh());
  envoy = await startDynamicEnvoy(xdsPort);
  await controlPlane.upToDate();
  await until("the listener serves", async () => (await statusOf(ports.main)) === 200);
});

afterAll(async () => {
  await envoy?.close();
  await controlPlane.stop();
  await Promise.all(upstreams.map((upstream) => upstream.close()));
});

describe("a real Envoy on the xDS server", () => {
  it("serves after the first sync", async () => {
    expect(await upstreamOf(ports.main, "web")).toBe("web");
    expect(await upstreamOf(ports.main, "api")).toBe("api");
    expect(controlPlane.refusals).toEqual([]);
  });

  it("goes on serving while a cluster changes", async () => {
    const load = constantLoad(ports.main);
    for (let timeoutS = 2; timeoutS < 12; timeoutS++) {
      await controlPlane.apply([...service("web", timeoutS), ...service("api"), ...mesh().slice(4)]);
      expect(await envoy.admin("/stats?filter=cluster_manager.warming_clusters")).toContain(": 0");
      const before = load.count();
      await until("requests go by the changed cluster", () => load.count() >= before + 20);
    }
    await controlPlane.apply(mesh());
    expect(await load.stop()).toEqual([]);
  });

  it("brings a second route configuration with VHDS up, takes it away, and brings it back", async () => {
    for (const round of [1, 2]) {
      await controlPlane.apply([...mesh(), ...second()]);
      await until(`the second listener serves, round ${round}`, async () => (await statusOf(ports.second)) === 200);
      expect(await upstreamOf(ports.second, "anything")).toBe("api");
      await controlPlane.apply(mesh());
      await until("the second listener is gone", async () => (await statusOf(ports.second)) === 0);
    }
    expect(await upstreamOf(ports.main, "web")).toBe("web");
  });

  it("changes the hosts of a route configuration after the first one of the stream has gone, also on a new stream", async () => {
    await controlPlane.apply([...mesh(), ...second()]);
    await until("the second listener serves", async () => (await statusOf(ports.second)) === 200);
    const onlySecond = [...service("web"), ...service("api"), ...second()];
    await controlPlane.apply(onlySecond);
    await until("the first listener is gone", async () => (await statusOf(ports.main)) === 0);
    await controlPlane.stop();
    await controlPlane.start();
    await controlPlane.apply(onlySecond);
    expect(controlPlane.report()?.resourcesSent).toBe(0);
    await controlPlane.apply([...onlySecond.slice(0, -1), virtualHost("second", "any", "web", { domains: ["*"] })]);
    await until("the host has changed", async () => (await upstreamOf(ports.second, "x")) === "web");
    await controlPlane.apply(mesh());
    await until("the first listener is back", async () => (await statusOf(ports.main)) === 200);
  });

  it("applies every other virtual host beside the one that Envoy refuses, and reports that one with Envoy's text", async () => {
    const hosts = ["a", "b", "c", "d", "e"];
    const withHosts = (mark: string, regex?: string) => [
      ...mesh(),
      ...hosts.map((host) => virtualHost("main", host, "api", { mark, ...(host === "d" && regex !== undefined ? { regex } : {}) })),
    ];
    await controlPlane.apply(withHosts("1"));
    await controlPlane.apply(withHosts("2", "(unclosed"));
    const marks = await Promise.all(hosts.map(async (host) => (await get(ports.main, host)).headers["x-mark"]));
    expect(marks).toEqual(["2", "2", "2", "1", "2"]);
    expect(controlPlane.refusals.map(({ resource }) => resource.name)).toEqual(["main-routes/d"]);
    expect(controlPlane.refusals[0]?.reason).toContain("missing )");
    await controlPlane.apply(withHosts("3"));
    expect((await get(ports.main, "d")).headers["x-mark"]).toBe("3");
    await controlPlane.apply(mesh());
  });

  it("is sent nothing when the server starts again on the same port", async () => {
    const load = constantLoad(ports.main);
    await controlPlane.stop();
    await controlPlane.start();
    await controlPlane.apply(mesh());
    const before = load.count();
    await until("requests go by after the reconnect", () => load.count() >= before + 20);
    expect(await load.stop()).toEqual([]);
    expect(controlPlane.report()).toMatchObject({ resourcesSent: 0, removalsSent: 0, nacks: 0, upToDate: true });
  });

  it("drops a cluster only after the removal delay, and its host at once", async () => {
    const clusters = async () => (await envoy.admin("/clusters")).includes("late::");
    await controlPlane.apply([...mesh(), ...service("late"), virtualHost("main", "late", "late")]);
    expect(await upstreamOf(ports.main, "late")).toBe("late");
    const startedMs = performance.now();
    await controlPlane.apply(mesh());
    expect(await upstreamOf(ports.main, "late")).toBe("web");
    expect(await clusters()).toBe(true);
    await until("the cluster is gone", async () => !(await clusters()));
    expect(performance.now() - startedMs).toBeGreaterThan(REMOVAL_DELAY_MS * 0.9);
  });
});
