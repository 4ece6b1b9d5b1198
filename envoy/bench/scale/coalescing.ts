// Many edits in a short time, for the tests: how soon the last one is live, and how often the control plane published for them.
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startClients, startControlPlane } from "./processes.ts";
import { meshOfSize, serviceFile, serviceYaml } from "./service-mesh.ts";

export interface Coalesced {
  readonly edits: number;
  /** From the last edit until the last stream had taken it. */
  readonly lastLiveMs: number;
  /** Responses that one stream has taken for all of the edits. */
  readonly responsesPerStream: number;
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
  const controlPlane = await startControlPlane(folder, base);
  const clients = startClients();
  try {
    const ready = controlPlane.published(1);
    controlPlane.run({ kind: "running", sequence: 1, instances, proxies });
    await ready;
    clients.open(
      controlPlane.xdsPort,
      proxies.map(({ id }) => id),
    );
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
    return { edits, lastLiveMs: Math.max(0, takenAtMs - lastAtMs), responsesPerStream: resources / Math.max(1, streams) };
  } finally {
    await clients.end();
    await controlPlane.end();
    await rm(base, { recursive: true, force: true });
  }
}
