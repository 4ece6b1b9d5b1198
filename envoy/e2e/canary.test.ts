// Demo 2 on real Envoys: weights by editing YAML, users who keep their version while the weight rises, and a random share without stickiness.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LoadAnswer, startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl, workloadNamed } from "./ready.ts";

const USERS = 500;

/** Writes the two weights of traffic.yaml. */
function weights(stable: number, canary: number): (text: string) => string {
  return (text) => {
    const values = [stable, canary];
    let index = 0;
    return text.replace(/weight: \d+/g, () => `weight: ${values[index++]}`);
  };
}

describe("canary demo", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "blue-green"));
  });
  afterAll(() => mesh?.close());

  const editInForce = async (file: string, change: (text: string) => string): Promise<void> => {
    const from = await mesh.edit(file, change);
    await mesh.event("applied", undefined, { from });
  };
  /** The colour that each of the users gets now. */
  const colors = async (headers: (user: number) => Record<string, string>): Promise<ReadonlyMap<number, string>> => {
    const byUser = new Map<number, string>();
    const load = startLoad({
      url: `${gatewayUrl(mesh.ready)}/color`,
      connections: 8,
      total: USERS,
      headers,
      onResponse: ({ index, body }: LoadAnswer) => byUser.set(index, JSON.parse(body).color),
    });
    const report = await load.finished;
    expect(report.errors).toEqual([]);
    return byUser;
  };
  const sticky = (user: number): Record<string, string> => ({ "x-user": `user-${user}` });
  const green = (byUser: ReadonlyMap<number, string>): ReadonlySet<number> =>
    new Set([...byUser].filter(([, color]) => color === "green").map(([user]) => user));

  it("sends everyone to stable at 100/0", async () => {
    expect(green(await colors(sticky)).size).toBe(0);
  });

  it("keeps every canary user in the canary while its weight rises, and gives it the weight's share", async () => {
    await editInForce("traffic.yaml", weights(90, 10));
    const ten = green(await colors(sticky));
    expect(green(await colors(sticky))).toEqual(ten);
    await editInForce("traffic.yaml", weights(50, 50));
    const fifty = green(await colors(sticky));
    expect([...ten].filter((user) => !fifty.has(user))).toEqual([]);
    // 500 users: four standard deviations are 5.4 and 8.9 points.
    expect(ten.size / USERS).toBeGreaterThan(0.046);
    expect(ten.size / USERS).toBeLessThan(0.154);
    expect(Math.abs(fifty.size / USERS - 0.5)).toBeLessThan(0.09);
  });

  it("lets a client choose nothing by sending x-weft-pick itself", async () => {
    await editInForce("traffic.yaml", weights(90, 10));
    const honest = green(await colors(sticky));
    const forged = green(await colors((user) => ({ ...sticky(user), "x-weft-pick": "99" })));
    expect(forged).toEqual(honest);
  });

  it("draws each request anew without the annotation", async () => {
    await editInForce("traffic.yaml", (text) => text.replace("weft.mesh/sticky: header:x-user", "note: none"));
    const first = green(await colors(sticky));
    const second = green(await colors(sticky));
    expect(first).not.toEqual(second);
    await editInForce("traffic.yaml", (text) => text.replace("note: none", "weft.mesh/sticky: header:x-user"));
  });

  it("refuses a bad edit with file, line and fix, and the last good configuration goes on serving", async () => {
    const before = green(await colors(sticky));
    const from = await mesh.edit("traffic.yaml", (text) => text.replace("weight: 90", "weight: 90%"));
    const { diagnostics } = await mesh.event("diagnostics", (event) => event.diagnostics.some(({ severity }) => severity === "error"), { from });
    const error = diagnostics.find(({ severity }) => severity === "error");
    expect(error?.origin).toMatchObject({ file: "traffic.yaml", line: 23 });
    expect(error?.fix).toContain("90");
    expect(green(await colors(sticky))).toEqual(before);
    await editInForce("traffic.yaml", (text) => text.replace("weight: 90%", "weight: 90"));
  });

  it("rolls stable to the green image without losing a request", async () => {
    const load = startLoad({ url: `${gatewayUrl(mesh.ready)}/color`, connections: 4, ratePerSecond: 200, headers: sticky });
    await load.more(100);
    const log = workloadNamed(mesh.ready, "stable").log;
    expect(log).toContain("stable");
    await mesh.edit("color.yaml", (text) => text.replace("image: color:blue", "image: color:green"));
    await until("only green answers", async () => (green(await colors(sticky)).size === USERS ? true : undefined), 60_000);
    const report = await load.stop();
    expect(report.errors).toEqual([]);
    expect(report.failed).toBe(0);
  });
});
