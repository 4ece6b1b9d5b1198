// One mesh of a given size, measured from the outside: first sync, one change on disk, one endpoint, a reconnect of all.
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startClients, startControlPlane } from "./processes.ts";
import { type MeshSize, meshOfSize, serviceFile, serviceYaml } from "./service-mesh.ts";

/** What one thing took: until the last stream had it, and of the control plane's CPU. */
export interface Cost {
  readonly elapsedMs: number;
  readonly cpuSeconds: number;
  readonly streams: number;
  readonly medianBytes: number;
  readonly resources: number;
}

export interface Measurement {
  readonly size: MeshSize;
  /** From the start of the process until it has read the folder and published. */
  readonly startMs: number;
  readonly firstSync: Cost;
  readonly weightChange: Cost;
  readonly endpointChange: Cost;
  readonly reconnect: Cost;
  readonly memoryMb: { readonly steady: number; readonly peak: number };
}

const QUIET_MS = 3_000;
/** After this long without work V8 has given back what it does not need. */
const REST_MS = 3_000;

/** Measures one mesh. `profile`: a folder for a CPU profile of the control plane. */
export async function measure(size: MeshSize, options: { readonly profile?: string; readonly onProgress?: (line: string) => void } = {}): Promise<Measurement> {
  const { onProgress = () => undefined } = options;
  const base = await mkdtemp(join(tmpdir(), "weft-scale-"));
  const folder = join(base, "mesh");
  await mkdir(folder);
  const { files, instances, proxies } = meshOfSize(size);
  for (const [path, text] of files) await writeFile(join(folder, path), text);
  const began = performance.now();
  const controlPlane = await startControlPlane(folder, base, options.profile);
  const clients = startClients();
  try {
    let sequence = 1;
    const ready = controlPlane.published(sequence);
    controlPlane.run({ kind: "running", sequence, instances, proxies });
    await ready;
    const startMs = performance.now() - began;
    onProgress(`published after ${Math.round(startMs)} ms`);
    const ids = proxies.map(({ id }) => id);
    const cost = async (act: () => Promise<void> | void, expected: number): Promise<Cost> => {
      const [cpu, startedAtMs] = [await controlPlane.cpuSeconds(), performance.timeOrigin + performance.now()];
      await act();
      const report = await clients.report({ quietMs: QUIET_MS, atLeast: expected, timeoutMs: 120_000 });
      const spent = (await controlPlane.cpuSeconds()) - cpu;
      const { streams, medianBytes, resources, lastAtMs } = report;
      return { elapsedMs: lastAtMs === 0 ? 0 : lastAtMs - startedAtMs, cpuSeconds: spent, streams, medianBytes, resources };
    };
    /** All streams end and are opened again. What they take is asked for only when the control plane has seen every one of them come back up to date. */
    const reconnectAll = async (): Promise<Cost> => {
      clients.close();
      await controlPlane.settled(0);
      const [cpu, startedMs] = [await controlPlane.cpuSeconds(), performance.now()];
      clients.open(controlPlane.xdsPort, ids);
      await controlPlane.settled(ids.length);
      const elapsedMs = performance.now() - startedMs;
      const spent = (await controlPlane.cpuSeconds()) - cpu;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      const { streams, medianBytes, resources } = await clients.report({ quietMs: 0, atLeast: 0 });
      return { elapsedMs, cpuSeconds: spent, streams, medianBytes, resources };
    };
    // On a busy machine the streams may be quiet for seconds in the middle of it.
    const firstSync = await cost(async () => {
      clients.open(controlPlane.xdsPort, ids);
      await controlPlane.settled(ids.length);
    }, ids.length);
    onProgress(`first sync: ${text(firstSync)}`);
    const changeWeight = (weight: number) => async (): Promise<void> => {
      await writeFile(join(base, "edit"), serviceYaml(3, weight));
      await rename(join(base, "edit"), join(folder, serviceFile(3)));
    };
    // The first of a kind runs code that was never run before; the last of three is told.
    let weightChange = firstSync;
    for (const weight of [80, 70, 60]) {
      weightChange = await cost(changeWeight(weight), ids.length);
      onProgress(`one weight: ${text(weightChange)}`);
    }
    let endpointChange = firstSync;
    for (const ready of [false, true, false]) {
      sequence += 1;
      const changed = instances.map((instance, index) => (index === 35 ? { ...instance, ready } : instance));
      endpointChange = await cost(() => controlPlane.run({ kind: "running", sequence, instances: changed, proxies }), ids.length);
      onProgress(`one endpoint: ${text(endpointChange)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    const { now, peak } = await controlPlane.memory();
    onProgress(`memory: ${now.toFixed(0)} MB, peak ${peak.toFixed(0)} MB`);
    const reconnect = await reconnectAll();
    onProgress(`reconnect: ${text(reconnect)}`);
    return { size, startMs, firstSync, weightChange, endpointChange, reconnect, memoryMb: { steady: now, peak } };
  } finally {
    await clients.end();
    await controlPlane.end();
    await rm(base, { recursive: true, force: true });
  }
}

function text({ elapsedMs, cpuSeconds, streams, medianBytes, resources }: Cost): string {
  return `${Math.round(elapsedMs)} ms, CPU ${cpuSeconds.toFixed(2)} s, ${streams} streams, ${medianBytes} bytes each, ${resources} resources`;
}
