import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ReadyWorkload } from "../local/events.ts";
import { externalCall, externalTargets, externalText } from "./external.ts";
import { PLAIN } from "./style.ts";

const line = (fields: object): string => JSON.stringify({ direction: "outbound", time: "2026-01-01T00:00:00.000Z", flags: "-", status: 200, ...fields });

describe("calls outside the mesh", () => {
  it.each<[string, string, object | undefined]>([
    [
      "a name that passed",
      line({ cluster: "PassthroughCluster", route: "allow_any", authority: "example.com" }),
      { target: "example.com", verdict: "passed", failed: 0 },
    ],
    [
      "a name that is not answered",
      line({ cluster: "PassthroughCluster", authority: "x.invalid", status: 503, flags: "UF" }),
      { target: "x.invalid", failed: 1 },
    ],
    [
      "https through the proxy port",
      line({ cluster: "PassthroughCluster", route: "tunnel", method: "CONNECT", authority: "example.com:443" }),
      { target: "example.com:443" },
    ],
    ["a refused name", line({ cluster: null, route: "block_all", authority: "example.com", status: 502 }), { verdict: "refused", failed: 0 }],
    [
      "a connection by its address",
      line({ cluster: "OriginalDestinationCluster", listener: "93.184.216.34:443", status: undefined }),
      { target: "93.184.216.34:443", verdict: "passed", failed: 0 },
    ],
    ["a refused connection", line({ cluster: "BlackHoleCluster", listener: "1.2.3.4:443", flags: "UH" }), { target: "1.2.3.4:443", verdict: "refused" }],
    ["a call inside", line({ cluster: "outbound|80||a", route: "default", authority: "a" }), undefined],
    ["a call to the workload", line({ cluster: "PassthroughCluster", direction: "inbound" }), undefined],
    ["half a line", '{"direction": "outb', undefined],
  ])("reads %s", (_, text, expected) => {
    if (expected === undefined) expect(externalCall(text)).toBeUndefined();
    else expect(externalCall(text)).toMatchObject(expected);
  });

  it("counts by workload and target over all copies", async () => {
    const folder = await mkdtemp(join(tmpdir(), "weft-external-"));
    const log = async (name: string, lines: readonly string[]): Promise<ReadyWorkload> => {
      const accessLog = join(folder, name);
      await writeFile(accessLog, `${lines.join("\n")}\n`);
      return { ...WORKLOAD, instance: name, accessLog };
    };
    const call = (time: string, status = 200) => line({ cluster: "PassthroughCluster", authority: "example.com", time, status });
    const workloads = [
      await log("web-1", [call("2026-01-01"), call("2026-01-03")]),
      await log("web-2", [call("2026-01-02", 503)]),
      { ...WORKLOAD, accessLog: "" },
    ];
    const targets = await externalTargets(workloads);
    await rm(folder, { recursive: true });
    expect(targets).toEqual([{ namespace: "default", workload: "web", target: "example.com", verdict: "passed", count: 3, failed: 1, time: "2026-01-03" }]);
    expect(externalText(targets, PLAIN)).toBe("WORKLOAD  TARGET       WENT    CALLS  FAILED  LAST\nweb       example.com  passed  3      1       2026-01-03");
  });
});

const WORKLOAD: ReadyWorkload = {
  workload: "web",
  namespace: "default",
  instance: "web-1",
  zone: "",
  address: "127.80.0.2",
  pid: 1,
  url: "",
  log: "",
  accessLog: "",
  sidecar: { id: "", pid: 0, admin: "", log: "" },
  httpProxy: "",
  services: {},
  explain: {},
};
