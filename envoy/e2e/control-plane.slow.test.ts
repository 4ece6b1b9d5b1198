// The control plane may die: proxies go on, a fresh one sends nothing to those that are up to date, and edits work again.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl } from "./ready.ts";

const proxyStates = z.array(z.object({ connected: z.boolean(), resourcesSent: z.number(), upToDate: z.boolean() }));

describe("a control plane that is killed and started again", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "blue-green"));
  });
  afterAll(() => mesh?.close());

  it("fails no request and resends nothing to proxies that are up to date", async () => {
    const load = startLoad({
      url: `${gatewayUrl(mesh.ready)}/color`,
      connections: 16,
      ratePerSecond: 600,
      headers: (index) => ({ "x-user": `user-${index % 100}` }),
    });
    await load.more(600);
    const from = mesh.events.length;
    process.kill(mesh.ready.controlPlane.pid, "SIGKILL");
    const { adminPort } = await mesh.event("control-plane", ({ state }) => state === "listening", { from });
    const streams = await until("all proxies connected again", async () => {
      const proxies = proxyStates.parse(await (await fetch(`http://127.0.0.1:${adminPort}/proxies`)).json());
      return proxies.length === mesh.ready.workloads.length + mesh.ready.gateways.length && proxies.every(({ connected, upToDate }) => connected && upToDate)
        ? proxies
        : undefined;
    });
    expect(streams.map(({ resourcesSent }) => resourcesSent)).toEqual(streams.map(() => 0));
    await load.more(600);
    const edited = await mesh.edit("traffic.yaml", (text) => text.replace("weight: 100", "weight: 0").replace(/weight: 0\n---/, "weight: 100\n---"));
    await mesh.event("applied", undefined, { from: edited });
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);

    // Negative control: the same load sees it when a process that traffic passes is killed instead.
    const exposed = startLoad({ url: `${gatewayUrl(mesh.ready)}/color`, connections: 16, ratePerSecond: 600 });
    await exposed.more(300);
    const [gateway] = mesh.ready.gateways;
    if (gateway !== undefined) process.kill(gateway.pid, "SIGKILL");
    await exposed.more(300);
    expect((await exposed.stop()).failed).toBeGreaterThan(0);
  });
});
