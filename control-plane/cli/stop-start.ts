// `weft stop` and `weft start`: a workload of a running mesh, on purpose.
import { EXIT } from "./command-error.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { parseWorkloadName, unknownWorkload } from "./workload-name.ts";

export interface StopStartOptions {
  readonly namespace?: string;
  readonly dir?: string;
}

/** Resolves once the runner says that it is done; rejects with a CommandError. */
export async function stopStart(action: "stop" | "start", text: string, options: StopStartOptions): Promise<number> {
  const name = parseWorkloadName(text);
  const ask = await findRunningMesh(options.dir);
  const rows = (await ask("ps", undefined)).filter(({ kind }) => kind === "workload");
  // What is stopped has its rows too; a mesh that lists nothing at all has its own words for that.
  if (rows.length > 0 && !rows.some(({ workload }) => workload === name.workload)) throw unknownWorkload(name.workload, rows);
  const answer = await ask(action, { ...name, ...(options.namespace === undefined ? {} : { namespace: options.namespace }) });
  process.stdout.write(`${answer.text}\n`);
  return EXIT.ok;
}
