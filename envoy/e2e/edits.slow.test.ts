// 200 random edits under constant load: weights, list order, subset names, timeouts, load balancers. No request fails, and the last edit is live.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { seededRandom } from "../bench/statistics.ts";
import { startLoad } from "./load.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl } from "./ready.ts";

const SEED = Number(process.env.WEFT_SEED ?? 20_261_123);
const EDITS = 200;

interface Choice {
  readonly subsets: readonly [string, string];
  readonly weights: readonly [number, number];
  readonly swapped: boolean;
  readonly timeoutSeconds: number;
  readonly balancer: string;
}

function traffic({ subsets: [stable, canary], weights: [stableWeight, canaryWeight], swapped, timeoutSeconds }: Choice): string {
  const entries = [
    `        - destination: {host: color, subset: ${stable}}\n          weight: ${stableWeight}\n`,
    `        - destination: {host: color, subset: ${canary}}\n          weight: ${canaryWeight}\n`,
  ];
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: color
  annotations: {"weft.mesh/sticky": "header:x-user"}
spec:
  hosts: ["*"]
  gateways: [color-gateway]
  http:
    - name: color
      timeout: ${timeoutSeconds}s
      route:
${(swapped ? entries.reverse() : entries).join("")}`;
}

function rule({ subsets: [stable, canary], balancer }: Choice): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: color
spec:
  host: color
  trafficPolicy:
    loadBalancer: {simple: ${balancer}}
  subsets:
    - {name: ${stable}, labels: {version: stable}}
    - {name: ${canary}, labels: {version: canary}}
`;
}

const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: color-gateway
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ["*"]
`;

const answered = z.object({ version: z.string() });

describe.each([
  { name: "in any order", edits: EDITS, safe: true },
  { name: "negative control: taken as they come, with nothing held back", edits: 40, safe: false },
])(`random edits under load (seed ${SEED}), $name`, ({ edits, safe }) => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(EXAMPLES, "blue-green"), safe ? {} : { env: { WEFT_TEST_EDITS: "unordered" } });
  });
  afterAll(() => mesh?.close());

  it(safe ? "fail no request, and the last edit is live" : "fail requests", async () => {
    const random = seededRandom(SEED);
    const pick = <Value>(values: readonly [Value, ...Value[]]): Value => values[Math.floor(random() * values.length)] ?? values[0];
    const split = join(mesh.folder, "traffic.yaml");
    const ruleFile = join(mesh.folder, "rule.yaml");
    const draw = (): Choice => ({
      subsets: pick([
        ["stable", "canary"],
        ["v1", "v2"],
        ["old", "new"],
      ]),
      weights: pick([
        [100, 0],
        [90, 10],
        [1, 1],
        [0, 3],
        [30, 70],
      ]),
      swapped: random() < 0.5,
      timeoutSeconds: pick([5, 10, 20]),
      balancer: pick(["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"]),
    });
    const start: Choice = { subsets: ["stable", "canary"], weights: [1, 1], swapped: false, timeoutSeconds: 10, balancer: "RANDOM" };
    await writeFile(split, `${traffic(start)}---\n${rule(start)}---\n${GATEWAY}`);
    const load = startLoad({
      url: `${gatewayUrl(mesh.ready)}/color`,
      connections: 16,
      ratePerSecond: 600,
      headers: (index) => ({ "x-user": `user-${index % 1_000}` }),
    });
    await load.more(600);
    for (let edit = 0; edit < edits; edit++) {
      const next = draw();
      // The two files change in either order, sometimes with requests between them.
      const writes = [() => writeFile(split, `${traffic(next)}---\n${GATEWAY}`), () => writeFile(ruleFile, rule(next))];
      if (random() < 0.5) writes.reverse();
      for (const write of writes) {
        await write();
        if (random() < 0.5) await load.more(30);
      }
      await load.more(20);
    }
    await writeFile(ruleFile, rule(start));
    await writeFile(split, `${traffic({ ...start, weights: [0, 1] })}---\n${GATEWAY}`);
    await until("the last edit: canary only", async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, async () => answered.parse(await (await fetch(`${gatewayUrl(mesh.ready)}/color`)).json())));
      return answers.every(({ version }) => version === "canary") ? true : undefined;
    });
    const report = await load.stop();
    if (!safe) {
      expect(report.failed).toBeGreaterThan(0);
      return;
    }
    expect(report).toMatchObject({ failed: 0, errors: [] });
    expect(report.sent).toBeGreaterThan(edits * 20);
  });
});
