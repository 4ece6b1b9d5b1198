// Which running mesh a command of a second terminal is about, and questions to its runner.
import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import type { RunnerApi } from "../local/api.ts";
import { answersOn, callRunnerAt } from "../local/api-client.ts";
import { socketPathOf, stateFolderOf, stateFoldersOf } from "../local/state-folder.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { typedPath } from "./typed-path.ts";

/** The question of one command to the mesh that it is about. Rejects with a CommandError. */
export type AskRunner = <Name extends keyof RunnerApi>(name: Name, body: RunnerApi[Name]["request"]) => Promise<RunnerApi[Name]["answer"]>;

/**
 * The mesh of `dir`; without it the mesh whose folder the current one is or lies in, else the only one that runs.
 * Rejects with a CommandError that says which meshes run.
 */
export async function findRunningMesh(dir: string | undefined): Promise<AskRunner> {
  if (dir !== undefined) return askFolder(dir);
  // One state folder is named for all: there is nothing to look for.
  if (process.env.WEFT_STATE) return askFolder(process.cwd());
  for (const folder of withParents(await realpath(process.cwd()))) {
    if (await answersOn(await socketPathOf(await stateFolderOf(folder)))) return askFolder(folder);
  }
  const running = await runningMeshes();
  const [only, ...others] = running;
  if (only === undefined) throw new CommandError("no mesh runs", "Start one: npx weft up FOLDER");
  if (others.length > 0) {
    const folders = running.map(({ folder }) => typedPath(folder, process.cwd())).sort();
    throw new CommandError(`several meshes run: ${folders.join(", ")}`, `Name one: --dir ${folders[0]}`, EXIT.usage);
  }
  return only.ask;
}

/** What is said when the runner refuses or cannot be reached. Anything but a plain error is a fault of Weft and keeps its stack. */
export function failed(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CommandError || error instanceof TypeError || error instanceof RangeError) return error;
  const [what = "", fix] = error.message.split(/[.:;]? Fix: /);
  return new CommandError(what, fix === undefined ? "`weft logs control-plane` and the logs in the state folder say more" : `Fix: ${fix.replace(/\.$/, "")}`);
}

async function askFolder(folder: string): Promise<AskRunner> {
  const stateFolder = await stateFolderOf(folder).catch(() => {
    throw new CommandError(`there is no folder ${folder}`, "Name the folder that `weft up` runs, with --dir");
  });
  return askSocket(await socketPathOf(stateFolder), folder);
}

function askSocket(socketPath: string, folder: string): AskRunner {
  return async (name, body) => {
    try {
      return await callRunnerAt(socketPath, folder, name, body);
    } catch (error) {
      throw failed(error);
    }
  };
}

async function runningMeshes(): Promise<readonly { readonly folder: string; readonly ask: AskRunner }[]> {
  const running: { folder: string; ask: AskRunner }[] = [];
  for (const stateFolder of await stateFoldersOf()) {
    const socketPath = await socketPathOf(stateFolder);
    if (!(await answersOn(socketPath))) continue;
    const ask = askSocket(socketPath, stateFolder);
    running.push({ folder: (await ask("ready", undefined)).folder, ask });
  }
  return running;
}

function withParents(folder: string): readonly string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...withParents(parent)];
}
