// `weft top`: live traffic of a mesh, edge by edge, from the sidecars' own statistics.
import { setTimeout as sleep } from "node:timers/promises";
import type { ReadyAnswer } from "../local/api.ts";
import { EXIT } from "./command-error.ts";
import { EDGE_STATISTICS, type EdgeRate, edgeRates, type ProxySample, readStatistics } from "./edge-statistics.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

export interface TopOptions {
  readonly output: string;
  readonly interval: number;
  readonly once?: boolean;
  readonly dir?: string;
}

const ANSWER_MS = 2_000;
/** Moves a terminal's cursor home and clears what stands below. */
const REDRAW = "\u001b[H\u001b[J";
const CLEAR = "\u001b[2J";

/** Prints the table once an interval, over the former one on a terminal, until Ctrl-C; or once. */
export async function top(options: TopOptions): Promise<number> {
  const ask = await findRunningMesh(options.dir);
  const { stdout } = process;
  const style = styleOf(stdout, process.env);
  const redraws = options.output === "table" && options.once !== true && stdout.isTTY;
  if (redraws) stdout.write(CLEAR);
  let before = await sample(await ask("ready", undefined));
  let sinceMs = performance.now();
  for (;;) {
    await sleep(options.interval * 1_000);
    const after = await sample(await ask("ready", undefined));
    const nowMs = performance.now();
    const rates = edgeRates(before, after, (nowMs - sinceMs) / 1_000);
    if (options.output === "json") stdout.write(`${JSON.stringify(rates)}\n`);
    else stdout.write(`${redraws ? REDRAW : ""}${topText(rates, style)}\n`);
    if (options.once) return EXIT.ok;
    [before, sinceMs] = [after, nowMs];
  }
}

/** The table for a person. */
export function topText(rates: readonly EdgeRate[], style: Style): string {
  if (rates.length === 0) return "no workload has called another one yet";
  const several = new Set(rates.map(({ namespace }) => namespace)).size > 1;
  const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
  const rows = rates.map(({ namespace, from, to, subset, requestsPerSecond, errorShare, p99Ms, crossZoneShare }) => [
    several ? `${from}.${namespace}` : from,
    subset === "" ? to : `${to} ${subset}`,
    requestsPerSecond.toFixed(1),
    percent(errorShare),
    p99Ms === undefined ? "-" : `${p99Ms.toFixed(p99Ms < 10 ? 1 : 0)} ms`,
    crossZoneShare === undefined ? "-" : percent(crossZoneShare),
  ]);
  const [head = "", ...lines] = alignColumns([["FROM", "TO", "REQUESTS/S", "ERRORS", "P99", "CROSS-ZONE"], ...rows]);
  return [style.bold(head), ...lines.map((line, index) => ((rates[index]?.errorShare ?? 0) > 0 ? style.red(line) : line))].join("\n");
}

/** What all proxies have counted so far; one that does not answer is left out. */
async function sample({ workloads, gateways }: ReadyAnswer): Promise<readonly ProxySample[]> {
  const proxies = [
    ...workloads
      .filter(({ sidecar }) => sidecar.admin !== "")
      .map(({ namespace, workload, zone, sidecar }) => ({ namespace, workload, zone, admin: sidecar.admin })),
    ...gateways.map(({ namespace, name, admin }) => ({ namespace, workload: `gateway ${name}`, zone: "", admin })),
  ];
  const samples = await Promise.all(
    proxies.map(async ({ admin, ...proxy }): Promise<readonly ProxySample[]> => {
      const query = new URLSearchParams({ format: "json", histogram_buckets: "cumulative", filter: EDGE_STATISTICS });
      try {
        const answer = await fetch(`${admin}/stats?${query}`, { signal: AbortSignal.timeout(ANSWER_MS) });
        return [{ ...proxy, ...readStatistics(await answer.json()) }];
      } catch {
        return [];
      }
    }),
  );
  return samples.flat();
}
