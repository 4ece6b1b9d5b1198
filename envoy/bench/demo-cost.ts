// What the shop demo costs as a whole: memory of its sidecars and of the control plane, and how long an edit takes from the disk to the last Envoy.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startLoad } from "../e2e/load.ts";
import { EXAMPLES, startMesh, type TestMesh } from "../e2e/mesh.ts";
import { median } from "./statistics.ts";

/** Megabytes (2^20 bytes). `proportional` divides what processes share, as the pages of Envoy's binary, among them. */
interface Memory {
  readonly resident: number;
  readonly proportional: number;
}

interface DemoMemory {
  readonly name: string;
  readonly processes: number;
  /** Of the median process. */
  readonly memory: Memory;
}

interface EditTimes {
  readonly edits: number;
  /** Envoys that had to acknowledge each of them. */
  readonly proxies: number;
  readonly medianMs: number;
  readonly maxMs: number;
}

export interface DemoCost {
  readonly memory: readonly DemoMemory[];
  readonly editTimes?: EditTimes;
}

/** Starts `examples/shop`, warms it up with requests, measures, and ends it. Without edits (0) no edit is measured. Linux only. */
export async function measureDemo(edits: number, onProgress: (line: string) => void): Promise<DemoCost> {
  onProgress("starting examples/shop");
  const mesh = await startMesh(join(EXAMPLES, "shop"));
  try {
    await warmUp(mesh);
    const memory = await memoryOf(mesh);
    return edits === 0 ? { memory } : { memory, editTimes: await timeEdits(mesh, edits, onProgress) };
  } finally {
    await mesh.close();
  }
}

/** Every product's page, so that each sidecar has called and has been called. */
async function warmUp(mesh: TestMesh): Promise<void> {
  const products = mesh.ready.workloads.filter(({ workload }) => workload.startsWith("product")).map(({ url }) => `${url}/products`);
  const report = await startLoad({ url: products, connections: 4, total: 300 }).finished;
  if (report.failed > 0) throw new Error(`${report.failed} of ${report.sent} requests failed: ${report.errors[0]}`);
}

async function memoryOf({ ready }: TestMesh): Promise<readonly DemoMemory[]> {
  const groups = [
    { name: "sidecar", pids: ready.workloads.map(({ sidecar }) => sidecar.pid) },
    { name: "gateway", pids: ready.gateways.map(({ pid }) => pid) },
    { name: "control plane", pids: [ready.controlPlane.pid] },
  ].filter(({ pids }) => pids.length > 0);
  return Promise.all(
    groups.map(async ({ name, pids }) => {
      const all = await Promise.all(pids.map(processMemory));
      const memory = { resident: median(all.map(({ resident }) => resident)), proportional: median(all.map(({ proportional }) => proportional)) };
      return { name, processes: pids.length, memory };
    }),
  );
}

async function processMemory(pid: number): Promise<Memory> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const megabytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(rollup)?.[1] ?? Number.NaN) / 1_024;
  return { resident: megabytes("Rss"), proportional: megabytes("Pss") };
}

/** Turns locality of order-history off and on again: each edit changes the clusters and the endpoints of every sidecar that calls it. */
async function timeEdits(mesh: TestMesh, edits: number, onProgress: (line: string) => void): Promise<EditTimes> {
  const times: number[] = [];
  let proxies = 0;
  for (let edit = 0; edit < edits; edit++) {
    const from = await mesh.edit("order-history.yaml", (text) => text.replace(/enabled: (true|false)/, `enabled: ${edit % 2 === 1}`));
    const applied = await mesh.event("applied", ({ files }) => files.includes("order-history.yaml"), { from });
    times.push(applied.elapsedMs);
    proxies = applied.proxies;
    onProgress(`edit ${edit + 1} of ${edits}: ${Math.round(applied.elapsedMs)} ms`);
  }
  return { edits, proxies, medianMs: median(times), maxMs: Math.max(...times) };
}
