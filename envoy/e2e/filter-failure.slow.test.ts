// The filter may die, or be taken off the path: traffic goes on by Envoy's own weights, and the control plane brings a fresh one.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl } from "./ready.ts";

const USERS = 200;
const sticky = (index: number): Record<string, string> => ({ "x-user": `user-${index % USERS}` });

/** The version of each user, one request each. */
async function versions(url: string): Promise<ReadonlyMap<number, string>> {
  const byUser = new Map<number, string>();
  const report = await startLoad({
    url,
    connections: 8,
    total: USERS,
    headers: sticky,
    onResponse: ({ index, body }) => byUser.set(index, JSON.parse(body).version),
  }).finished;
  expect(report.errors).toEqual([]);
  return byUser;
}

describe("a filter that traps", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "blue-green"), { env: { WEFT_TEST_FILTER: "trap" } });
  });
  afterAll(() => mesh?.close());

  it("costs at most one request per worker, traffic goes on, and a fresh filter comes", async () => {
    const url = `${gatewayUrl(mesh.ready)}/color`;
    const from = await mesh.edit("traffic.yaml", (text) => text.replace("weight: 100", "weight: 50").replace("weight: 0", "weight: 50"));
    await mesh.event("applied", undefined, { from });
    const before = await versions(url);
    expect(await versions(url)).toEqual(before);
    const load = startLoad({ url, connections: 8, ratePerSecond: 500, headers: sticky });
    await load.more(500);
    // Gateways run one worker.
    const trapped = await fetch(url, { headers: { "weft-test-trap": "1" } });
    expect([200, 503]).toContain(trapped.status);
    await load.more(500);
    await until("users at their versions again, by a fresh filter", async () => {
      const now = await versions(url);
      return [...now].every(([user, version]) => before.get(user) === version) ? true : undefined;
    });
    const report = await load.stop();
    expect(report.failed).toBeLessThanOrEqual(1);
  });
});

describe("a filter that is taken off the path", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "blue-green"));
  });
  afterAll(() => mesh?.close());

  it("leaves the weights to Envoy without a failed request, and may come back", async () => {
    const url = `${gatewayUrl(mesh.ready)}/color`;
    const load = startLoad({ url, connections: 16, ratePerSecond: 600, headers: sticky });
    await load.more(600);
    const settings = (decisions: string): string =>
      `apiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata:\n  name: default\nspec:\n  decisions: ${decisions}\n`;
    for (const decisions of ["native", "filter", "native", "filter"]) {
      const from = await mesh.write("mesh-config.yaml", settings(decisions));
      await mesh.event("applied", undefined, { from });
      await load.more(300);
    }
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, errors: [] });
  });
});
