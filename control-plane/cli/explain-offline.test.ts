import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { explainOffline } from "./explain-offline.ts";
import { parseRequest } from "./explain-request.ts";
import { explainText } from "./explain-text.ts";
import { PLAIN } from "./style.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const GOLDEN = join(ROOT, "control-plane", "test", "golden");

function explain(folder: string, from: string, url: string, headers: readonly (readonly [string, string])[] = []) {
  return explainOffline(parseRequest("GET", url, headers), folder, { from, header: headers, output: "text" });
}

describe("an explanation by the YAML alone", () => {
  it("names for each route that is not taken the condition that failed, also those that no request of this caller can fulfil", async () => {
    const { passed = [], virtualService, origin, action } = await explain(join(GOLDEN, "match-conditions"), "caller", "http://reviews:9080/moved");
    expect(virtualService).toEqual({ namespace: "default", name: "reviews", route: "moved" });
    expect(origin?.file).toBe(join(GOLDEN, "match-conditions", "in.yaml"));
    expect(action).toMatchObject({ kind: "redirect", status: 307 });
    const reasons = passed.map(({ route, failure }) => `${route.split("/")[1]}: ${failure.name} ${failure.expected}`);
    expect(reasons).toEqual([
      "never-another-port: port 1234",
      "never-another-caller: sourceLabels app other",
      "never-another-caller: sourceNamespace other",
      "never-another-caller: gateways default/some-gateway",
      "never-another-caller: authority another one",
      expect.stringMatching(/^match-[0-9a-f]{8}: :path prefix "\/api"$/),
      expect.stringMatching(/^match-[0-9a-f]{8}: :path exact "\/exact" \(any case\)$/),
    ]);
    const lines = passed.map((route) => route.origin?.line ?? 0);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
  });

  it("reads the path as the proxy's connection manager does", async () => {
    const report = await explain(join(GOLDEN, "match-conditions"), "caller", "http://reviews:9080/a/../%6doved");
    expect(report.virtualService?.route).toBe("moved");
  });

  it("asks the filter itself who goes where, with the shares of all candidates", async () => {
    const folder = join(GOLDEN, "sticky-weights");
    const reports = await Promise.all(Array.from({ length: 40 }, (_, user) => explain(folder, "caller", "http://reviews:9080/", [["cookie", `user=${user}`]])));
    const chosen = reports.map(({ candidates }) => candidates.find((candidate) => candidate.chosen)?.subset);
    expect(new Set(chosen)).toEqual(new Set(["v1", "v2"]));
    expect(reports[0]?.candidates.map(({ subset, sharePercent }) => [subset, sharePercent])).toEqual([
      ["v1", 90],
      ["v2", 10],
    ]);
    const again = await explain(folder, "caller", "http://reviews:9080/", [["cookie", "user=7"]]);
    expect(again.pick).toBe(reports[7]?.pick);
    expect(again.endpoints?.map(({ instance }) => instance)).toEqual([`reviews-${chosen[7]}-1`]);
  });

  it("is the text of the live one, with the reasons", async () => {
    const report = await explain(join(ROOT, "examples", "blue-green"), "ingressgateway", "http://localhost:8080/colour");
    const text = explainText(report, PLAIN)
      .replaceAll(ROOT, "")
      .replace(/\d+\.\d+\.\d+\.\d+:\d+/g, "ADDRESS");
    expect(text).toBe(`GET http://localhost:8080/colour from istio=ingressgateway (by the YAML, nothing was asked)

  listener   port 80
  not taken  color.default/color (/examples/blue-green/traffic.yaml:15): path exact "/color", it is "/colour"
  route      VirtualService default/color, route page (/examples/blue-green/traffic.yaml:28)
  cluster    outbound|80||page.default.svc.cluster.local
  endpoints  page-1  ADDRESS  (no zone)  assumed healthy  priority 0`);
  });

  it.each([
    { from: "nobody", url: "http://reviews:9080/", says: "no workload nobody" },
    { from: "caller", url: "http://reviews:1/", says: "reviews has no port 1" },
    { from: "ingressgateway", url: "http://reviews/", says: "this mesh has no ingressgateway" },
  ])("says what is wrong with --from $from $url", async ({ from, url, says }) => {
    await expect(explain(join(GOLDEN, "match-conditions"), from, url)).rejects.toThrow(says);
  });
});
