import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DiffReport, diffReport, diffText } from "./diff.ts";
import { PLAIN } from "./style.ts";

const BLUE_GREEN = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "examples", "blue-green");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-diff-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** The example with texts of its rules replaced, on each side. */
async function diffOf(old: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): Promise<DiffReport> {
  const sides = await Promise.all(
    [old, now].map(async (replacements, index) => {
      const side = join(folder, `${index}`);
      await cp(BLUE_GREEN, side, { recursive: true });
      let text = await readFile(join(BLUE_GREEN, "traffic.yaml"), "utf8");
      for (const [before, after] of Object.entries(replacements)) text = text.replace(before, after);
      await writeFile(join(side, "traffic.yaml"), text);
      return side;
    }),
  );
  return diffReport(sides[0] ?? "", sides[1] ?? "");
}

const weights = (stable: number, canary: number) => ({ "weight: 100": `weight: ${stable}`, "weight: 0": `weight: ${canary}` });

describe("a comparison of two meshes", () => {
  it("says how many requests go elsewhere, and that exactly as many users move as must", async () => {
    const { routes, resources } = await diffOf(weights(80, 20), weights(70, 30));
    expect(resources.map(({ change, kind, name, workloads }) => [change, kind, name, workloads])).toEqual([
      ["changed", "VirtualService", "color", ["gateway istio-ingressgateway"]],
    ]);
    const [route, ...others] = routes;
    expect(others).toEqual([]);
    expect(route).toMatchObject({ change: "changed", route: "color.default/color", movedPercent: 10, fields: [], workloads: ["gateway istio-ingressgateway"] });
    expect(route?.shares).toEqual([
      { destination: "color.default.svc.cluster.local:80 canary", before: 20, after: 30 },
      { destination: "color.default.svc.cluster.local:80 stable", before: 80, after: 70 },
    ]);
    expect(route?.sticky?.users).toBe(10_000);
    expect(route?.sticky?.moved).toBeGreaterThan(850);
    expect(route?.sticky?.moved).toBeLessThan(1_150);
  });

  it("moves nobody where the weights are only written otherwise", async () => {
    const { routes } = await diffOf(weights(90, 10), weights(9, 1));
    expect(routes).toEqual([]);
  });

  it("counts the users of a first canary, who were all in one place", async () => {
    const { routes } = await diffOf({}, weights(95, 5));
    expect(routes[0]).toMatchObject({ movedPercent: 5, fields: [] });
    expect(routes[0]?.sticky?.moved).toBeGreaterThan(400);
    expect(routes[0]?.sticky?.moved).toBeLessThan(600);
  });

  it("shows conditions and policies by field, and what comes and goes", async () => {
    const now = {
      "exact: /color": "prefix: /colour",
      "    - name: page": "    - name: home",
      "host: color\n  subsets": "host: color\n  trafficPolicy: {outlierDetection: {consecutiveGatewayErrors: 9}}\n  subsets",
    };
    const report = await diffOf({}, now);
    const text = diffText(report, PLAIN).replaceAll(folder, "");
    expect(text).toContain("~ color.default/color at http.80, *:80 for gateway istio-ingressgateway");
    expect(text).toContain('match.pathSpecifier.path: "/color" → absent');
    expect(text).toContain("+ color.default/home at http.80");
    expect(text).toContain("- color.default/page at http.80");
    expect(text).toMatch(/DestinationRule\n {2}~ default\/color \(\/1\/traffic\.yaml:\d+\) for .*gateway istio-ingressgateway.*\n.*outlierDetection/);
  });

  it("says nothing of what only stands elsewhere", async () => {
    const report = await diffOf({}, { "# Who gets": "\n\n# Who gets" });
    expect(diffText(report, PLAIN)).toBe("nothing differs");
  });

  it("names the errors of a side, whose resources count as absent", async () => {
    const report = await diffOf({}, { "weight: 100": "weight: -1" });
    expect(report.errors.map(({ side }) => side)).toContain("new");
    expect(diffText(report, PLAIN)).toContain("counts as absent");
  });
});
