// Many edits in a short time, for the tests: how soon the last one is live, and how often the control plane published for them.
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MeasuredControlPlane, startClients, startControlPlane } from "./processes.ts";
import { meshOfSize, serviceFile, serviceYaml } from "./service-mesh.ts";

export interface Coalesced {
  readonly edits: number;
  /** From the last edit until the last stream had taken it. */
  readonly lastLiveMs: number;
  /** Resources that one stream has taken for all of the edits. */
  readonly resourcesPerStream: number;
  /** What a fresh control plane, that has read the folder as it is now, finds to send to the streams: 0 only where the last edit has reached them all. */
  readonly leftBehind: number;
}

const PROXIES = 3;
const SERVICES = 20;

/** Writes `edits` files one after the other, spread over `overMs`, each an edit by rename. */
export async function editsInARow(edits: number, overMs: number): Promise<Coalesced> {
  const base = await mkdtemp(join(tmpdir(), "weft-edits-"));
  const folder = join(base, "mesh");
  await mkdir(folder);
  const { files, instances, proxies } = meshOfSize({ services: SERVICES, proxies: PROXIES, scope: "unscoped" });
  for (const [path, text] of files) await writeFile(join(folder, path), text);
  const clients = startClients();
  const ids = proxies.map(({ id }) => id);
  const serve = async (): Promise<MeasuredControlPlane> => {
    const started = await startControlPlane(folder, base);
    const ready = started.published(1);
    started.run({ kind: "running", sequence: 1, instances, proxies });
    await ready;
    clients.open(started.xdsPort, ids);
    await started.settled(ids.length);
    return started;
  };
  let controlPlane = await serve();
  try {
    await clients.report({ quietMs: 1_000, atLeast: PROXIES });
    const startedAtMs = Date.now();
    for (let edit = 1; edit <= edits; edit++) {
      const path = join(folder, serviceFile(edit % SERVICES));
      await writeFile(`${path}.edit`, serviceYaml(edit % SERVICES, edit % 97));
      await rename(`${path}.edit`, path);
      const aheadMs = (edit / edits) * overMs - (Date.now() - startedAtMs);
      if (aheadMs > 1) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    }
    const lastAtMs = Date.now();
    const { lastAtMs: takenAtMs, resources, streams } = await clients.report({ quietMs: 3_000, atLeast: PROXIES });
    clients.close();
    await controlPlane.end();
    controlPlane = await serve();
    const { resources: leftBehind } = await clients.report({ quietMs: 0, atLeast: 0 });
    return { edits, lastLiveMs: takenAtMs - lastAtMs, resourcesPerStream: resources / Math.max(1, streams), leftBehind };
  } finally {
    await clients.end();
    await controlPlane.end();
    await rm(base, { recursive: true, force: true });
  }
}
