// Certificates and roots that change under constant load, each request a handshake of its own: nobody notices.
import { afterEach, describe, expect, it } from "vitest";
import { until } from "./dynamic-envoy.ts";
import { type CallerAndServer, startCallerAndServer } from "./identified-mesh.ts";
import { startLoad } from "./load.ts";

let running: CallerAndServer | undefined;

afterEach(async () => {
  await running?.mesh.close();
  running = undefined;
});

const LIFETIME_MS = 5_000;
const ROTATIONS = 200;
const CONNECTIONS = 4;

describe("rotation under load", () => {
  it("renews 200 certificates of five seconds and loses no request", async () => {
    running = await startCallerAndServer({ lifetimeMs: LIFETIME_MS, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    const issued = () => mesh.log.filter(({ message }) => message === "issued a certificate").length;
    // They renew themselves; asking for more makes the test shorter.
    const hurry = setInterval(() => void mesh.identity.rotate("leaves"), 1_000);
    await until("200 certificates", () => issued() >= ROTATIONS, 300_000).finally(() => clearInterval(hurry));
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
    expect(report.sent).toBeGreaterThan(ROTATIONS);
  }, 400_000);

  it("replaces the root and loses no request", async () => {
    running = await startCallerAndServer({ lifetimeMs: LIFETIME_MS, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    for (let generation = 2; generation <= 4; generation++) {
      await mesh.identity.rotate("root");
      await expect(mesh.identity.rotate("root")).rejects.toThrow(/under way/);
      await until(`root ${generation} alone`, () => roots().join() === `${generation} issuing`, 60_000);
    }
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
    expect(mesh.log.filter(({ message }) => message === "nack")).toEqual([]);

    function roots(): readonly string[] {
      return mesh.identity.certificates().flatMap(({ kind, generation, state }) => (kind === "root" ? [`${generation} ${state}`] : []));
    }
  }, 200_000);

  it("goes on without a control plane for more than half a lifetime, and renews when it is back", async () => {
    running = await startCallerAndServer({ lifetimeMs: 20_000, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    await mesh.stopControlPlane();
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await mesh.startControlPlane();
    await until(
      "both have new certificates",
      () => mesh.identity.certificates().filter(({ kind, state }) => kind === "proxy" && state === "in use").length === 2,
    );
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
  }, 120_000);
});
