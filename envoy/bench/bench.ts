// `npm run bench -- [--only a,b,c,d,e,f,g,h] [--rounds N] [--edits N] [--seed N]`: measures what Weft costs on this machine and prints Markdown for the README.
// Progress goes to standard error, the tables to standard output.
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { buildFilter } from "../../filter/build.ts";
import { measureCertificates } from "./certificate-cost.ts";
import { measureCluster } from "./cluster/measure.ts";
import { clusterReport } from "./cluster/report.ts";
import { measureDecisionCost } from "./decision-cost.ts";
import { measureDemo } from "./demo-cost.ts";
import { compileEmptyFilter } from "./empty-filter.ts";
import type { ListenerCost } from "./listener-cost.ts";
import { measureMetricsCost } from "./metrics-cost.ts";
import { measureMutualTlsCost } from "./mutual-tls-cost.ts";
import { measureRouteCost, routeVariants } from "./route-cost.ts";

const SECTIONS = {
  a: "CPU of Envoy per request",
  b: "size of the filter and time of a decision",
  c: "memory of the shop demo",
  d: "an edit of the shop demo",
  e: "certificates issued",
  f: "CPU of Envoy per request with metrics",
  g: "CPU of two sidecars per request with mutual TLS",
  h: "the control plane against a real API server",
} as const;
type Section = keyof typeof SECTIONS;

const progress = (line: string): void => console.error(`  ${line}`);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

async function routeCostTable(rounds: number, seed: number): Promise<string> {
  const filter = await readFile((await buildFilter()).path);
  const variants = routeVariants(filter, await compileEmptyFilter());
  return listenerTable("the same 90/10 route", rounds, await measureRouteCost({ variants, rounds, seed, onProgress: progress }));
}

function listenerTable(what: string, rounds: number, costs: readonly ListenerCost[]): string {
  const rows = costs.map(({ name, microsecondsPerRequest, ratio }, index) => [
    name,
    `${microsecondsPerRequest.toFixed(1)} µs`,
    index === 0 ? "1" : `${ratio.median.toFixed(3)} (${ratio.low.toFixed(3)}–${ratio.high.toFixed(3)})`,
  ]);
  return table([what, "CPU of Envoy per request", `ratio, median of ${rounds} rounds (95 %)`], rows);
}

async function decisionCostTable(): Promise<string> {
  const { path, sizeBytes } = await buildFilter();
  const rows = (await measureDecisionCost(path)).map(({ name, hostCalls, nanosecondsAlone, nanosecondsWithHostCalls }) => [
    name,
    `${nanosecondsAlone.toFixed(0)} ns`,
    `${nanosecondsWithHostCalls.toFixed(0)} ns`,
    String(hostCalls),
  ]);
  return `The filter is ${sizeBytes.toLocaleString("en")} bytes.\n\n${table(["one decision", "alone", "with the fake host's calls", "host calls"], rows)}`;
}

async function demoTables(sections: ReadonlySet<Section>, edits: number): Promise<readonly string[]> {
  const { memory, editTimes } = await measureDemo(sections.has("d") ? edits : 0, progress);
  const rows = memory.map((group) => [
    group.processes === 1 ? group.name : `${group.name}, median of ${group.processes}`,
    `${group.memory.resident.toFixed(0)} MB`,
    `${group.memory.proportional.toFixed(0)} MB`,
  ]);
  const memoryTable = table(["`examples/shop`", "resident", "shared pages divided"], rows);
  return [
    ...(sections.has("c") ? [memoryTable] : []),
    ...(editTimes
      ? [
          table(
            ["edit on disk → in force in the last Envoy", "median", "slowest"],
            [
              [
                `\`examples/shop\`, ${editTimes.proxies} Envoys, ${editTimes.edits} edits`,
                `${editTimes.medianMs.toFixed(0)} ms`,
                `${editTimes.maxMs.toFixed(0)} ms`,
              ],
            ],
          ),
        ]
      : []),
  ];
}

/** A company's cluster, and pods that come and go as in a roll-out of everything. */
const CLUSTER = { size: { services: 1_000, podsPerService: 10, proxies: 1_000 }, churnSeconds: 60, changesPerSecond: 100 } as const;

/** Enough for a steady figure, a few seconds. */
const CERTIFICATES = 2_000;

async function certificateTable(): Promise<string> {
  const { perSecond, concurrency, millisecondsAlone } = await measureCertificates(CERTIFICATES);
  const row = [`a P-256 key, its certificate, its secret; ${concurrency} at once`, `${perSecond.toFixed(0)}`, `${millisecondsAlone.toFixed(1)} ms`];
  return table(["certificates of proxies", "per second, one process", "one alone, median"], [row]);
}

function sectionsOf(only: string): ReadonlySet<Section> {
  const isSection = (name: string): name is Section => Object.hasOwn(SECTIONS, name);
  const names = only.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !isSection(name));
  if (unknown.length > 0) throw new RangeError(`--only takes ${Object.keys(SECTIONS).join(", ")}, not ${unknown.join(", ")}`);
  return new Set(names.filter(isSection));
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`--${name} takes a whole number above 0, not ${text}`);
  return value;
}

async function main(): Promise<void> {
  const option = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({ options: { only: option("a,b,c,d,e,f,g,h"), rounds: option("60"), edits: option("20"), seed: option("20221104") } });
  const [rounds, edits, seed] = [count("rounds", values.rounds), count("edits", values.edits), count("seed", values.seed)];
  const sections = sectionsOf(values.only);
  const print = (text: string): void => console.log(`${text}\n`);
  print(`\`npm run bench -- --only ${[...sections].join(",")} --rounds ${rounds} --edits ${edits} --seed ${seed}\``);
  print(`${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.versions.node}`);
  const start = (section: Section): void => console.error(`${section}: ${SECTIONS[section]}`);
  if (sections.has("a")) {
    start("a");
    print(await routeCostTable(rounds, seed));
  }
  if (sections.has("b")) {
    start("b");
    print(await decisionCostTable());
  }
  if (sections.has("c") || sections.has("d")) {
    start(sections.has("c") ? "c" : "d");
    for (const text of await demoTables(sections, edits)) print(text);
  }
  if (sections.has("e")) {
    start("e");
    print(await certificateTable());
  }
  if (sections.has("f")) {
    start("f");
    print(listenerTable("a sidecar's outbound listener", rounds, await measureMetricsCost({ rounds, seed, onProgress: progress })));
  }
  if (sections.has("g")) {
    start("g");
    print(listenerTable("through two sidecars", rounds, await measureMutualTlsCost({ rounds, seed, onProgress: progress })));
  }
  if (sections.has("h")) {
    start("h");
    print(clusterReport(await measureCluster({ ...CLUSTER, onProgress: progress })));
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
