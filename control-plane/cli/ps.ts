// `weft ps`: what runs in a mesh, and where.
import type { PsRow } from "../local/api.ts";
import { EXIT } from "./command-error.ts";
import { externalTargets, externalText } from "./external.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

export interface PsOptions {
  readonly output: string;
  readonly external?: boolean;
  readonly dir?: string;
}

/** Prints the rows as a table or as JSON. */
export async function ps(options: PsOptions): Promise<number> {
  const ask = await findRunningMesh(options.dir);
  const style = styleOf(process.stdout, process.env);
  const write = <Value>(value: Value, text: (value: Value) => string): number => {
    process.stdout.write(options.output === "json" ? `${JSON.stringify(value, undefined, 2)}\n` : `${text(value)}\n`);
    return EXIT.ok;
  };
  if (options.external) return write(await externalTargets((await ask("ready", undefined)).workloads), (targets) => externalText(targets, style));
  return write(await ask("ps", undefined), (rows) => psText(rows, style));
}

/** The table of `weft ps`; the namespace stands in it where there are several. */
export function psText(rows: readonly PsRow[], style: Style): string {
  if (rows.length === 0) return "nothing runs: the mesh is still starting, or its folder has no Deployment and no Gateway";
  const several = new Set(rows.map(({ namespace }) => namespace)).size > 1;
  const lines = alignColumns([
    [...(several ? ["NAMESPACE"] : []), "INSTANCE", "ZONE", "STATE", "ADDRESS", "PID", "RESTARTS", "SIDECAR", "MEMORY", "STARTED IN", "IMAGE"],
    ...rows.map((row) => [
      ...(several ? [row.namespace] : []),
      row.kind === "gateway" ? `gateway ${row.workload}` : row.instance,
      row.zone || "-",
      row.state,
      row.address || "-",
      row.pid === 0 ? "-" : String(row.pid),
      String(row.restarts),
      sidecarText(row.sidecar),
      row.sidecar.memoryBytes === undefined ? "-" : `${(row.sidecar.memoryBytes / 2 ** 20).toFixed(0)} MiB`,
      row.sidecar.startedInMs === undefined ? "-" : `${(row.sidecar.startedInMs / 1_000).toFixed(2)} s`,
      row.image || "-",
    ]),
  ]);
  return lines.map((line, index) => (index === 0 ? style.bold(line) : stateStyle(rows[index - 1], style)(line))).join("\n");
}

function sidecarText({ pid, connected, upToDate }: PsRow["sidecar"]): string {
  if (pid === 0) return "-";
  if (!connected) return "not connected";
  return upToDate ? "up to date" : "behind";
}

function stateStyle(row: PsRow | undefined, style: Style): (text: string) => string {
  if (row?.state === "crashed") return style.red;
  if (row?.state === "starting" || row?.state === "unready") return style.yellow;
  return row?.state === "stopped" || row?.state === "draining" ? style.dim : (text) => text;
}
