// No request lost when an instance dies: zone failover and return under constant load, with inbound sidecars in the path.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Load, startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

const RATE = 600;

describe.each([
  { name: "with Weft's retries", safe: true },
  { name: "negative control: retries switched off by the route", safe: false },
])("an instance that is killed, $name", ({ safe }) => {
  let mesh: TestMesh;
  let load: Load;
  let servedBy = "";
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "shop"), { prepare: safe ? async () => undefined : withoutRetries });
  });
  afterAll(() => mesh?.close());

  it(safe ? "fails no request, and traffic comes home" : "fails requests: the mechanism is what saves them", async () => {
    const url = `${serviceUrl(mesh.ready, "product-a", "order-history")}/order-histories`;
    load = startLoad({
      url,
      connections: 16,
      ratePerSecond: RATE,
      onResponse: ({ headers, status }) => {
        if (status === 200) servedBy = String(headers["x-served-by"]).replace(/-\d+$/, "");
      },
    });
    await load.more(RATE);
    expect(servedBy).toBe("order-history-a");
    for (let round = 0; round < 3; round++) {
      const from = mesh.events.length;
      const { pid } = await currentInstance(mesh, "order-history-a");
      process.kill(pid, "SIGKILL");
      await load.more(RATE);
      await mesh.event("workload", (event) => event.workload === "order-history-a" && event.state === "ready", { from });
      await until("traffic in zone a again", () => (servedBy === "order-history-a" ? true : undefined));
    }
    const report = await load.stop();
    if (safe) expect(report).toMatchObject({ failed: 0, errors: [] });
    else expect(report.failed).toBeGreaterThan(0);
  });
});

describe("a POST in flight when its instance is killed", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "shop"));
  });
  afterAll(() => mesh?.close());

  it("is never sent twice", async () => {
    const url = `${serviceUrl(mesh.ready, "product-a", "order-history")}/order-histories`;
    const load = startLoad({
      url,
      method: "POST",
      connections: 16,
      ratePerSecond: RATE,
      headers: () => ({ "x-request-id": randomUUID() }),
      isOk: () => true,
    });
    await load.more(RATE);
    const { pid } = await currentInstance(mesh, "order-history-a");
    process.kill(pid, "SIGKILL");
    await load.more(RATE);
    await load.stop();
    const seen = new Map<string, number>();
    for (const zone of ["a", "b", "c"]) {
      const log = await readFile(workloadNamed(mesh.ready, `order-history-${zone}`).log, "utf8");
      for (const [id] of log.matchAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g)) seen.set(id, (seen.get(id) ?? 0) + 1);
    }
    expect(seen.size).toBeGreaterThan(RATE);
    expect([...seen].filter(([, times]) => times > 1)).toEqual([]);
  });
});

/** The process that runs a workload now; its pid changes with each restart. */
async function currentInstance(mesh: TestMesh, workload: string): Promise<{ readonly pid: number }> {
  const { stdout } = await mesh.weft("ps", "-o", "json");
  const row = JSON.parse(stdout).find((candidate: { workload: string }) => candidate.workload === workload);
  return { pid: row.pid };
}

/** Adds a VirtualService that switches retries off for order-history. */
async function withoutRetries(folder: string): Promise<void> {
  const { writeFile } = await import("node:fs/promises");
  await writeFile(
    join(folder, "no-retries.yaml"),
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: order-history
spec:
  hosts: [order-history]
  http:
    - name: once
      retries:
        attempts: 0
      route:
        - destination:
            host: order-history
`,
  );
}
