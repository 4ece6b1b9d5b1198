// `weft logs`: prints log files of a running mesh, and with --follow what is added to them, also by instances that come later.
import { setTimeout as sleep } from "node:timers/promises";
import { CommandError, EXIT } from "./command-error.ts";
import { type LogFile, type LogKind, logFilesOf, logSources } from "./log-files.ts";
import { offsetOfLast, readOn } from "./log-lines.ts";
import { type AskRunner, findRunningMesh } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";

export interface LogsOptions {
  readonly follow?: boolean;
  readonly access?: boolean;
  readonly envoy?: boolean;
  readonly tail?: number;
  readonly namespace?: string;
  readonly dir?: string;
}

/** Lines of each file that are shown where no target is named. */
const DEFAULT_TAIL_OF_ALL = 10;
const POLL_MS = 150;
/** How often --follow asks the mesh for instances that have come since. */
const REFRESH_MS = 1_000;

/** A file, and up to where it has been printed. */
interface Printed {
  readonly file: LogFile;
  offset: number;
}

/** Prints and resolves; with --follow when the mesh has ended. */
export async function logs(target: string | undefined, options: LogsOptions): Promise<number> {
  const kind: LogKind = options.access === true ? "access" : options.envoy === true ? "envoy" : "output";
  const ask = await findRunningMesh(options.dir);
  const list = async (): Promise<readonly LogFile[]> =>
    logFilesOf(logSources(await ask("ready", undefined), await ask("ps", undefined)), target, kind, options.namespace);
  const tail = options.tail ?? (target === undefined ? DEFAULT_TAIL_OF_ALL : undefined);
  const style = styleOf(process.stdout, process.env);
  const printed: Printed[] = [];
  for (const file of await list()) printed.push({ file, offset: tail === undefined ? 0 : await offsetOfLast(file.path, tail) });
  await printAll(printed, options.follow === true, style);
  return options.follow === true ? await follow(ask, list, printed, style) : EXIT.ok;
}

async function follow(ask: AskRunner, list: () => Promise<readonly LogFile[]>, printed: Printed[], style: Style): Promise<number> {
  for (let refreshMs = performance.now() + REFRESH_MS; ; await sleep(POLL_MS)) {
    await printAll(printed, true, style);
    if (performance.now() < refreshMs) continue;
    refreshMs = performance.now() + REFRESH_MS;
    if (!(await stillRuns(ask))) {
      await printAll(printed, false, style);
      process.stderr.write("The mesh has ended.\n");
      return EXIT.ok;
    }
    // A workload may be away for a moment while its copies are replaced.
    const now = await list().catch(() => []);
    const known = new Set(printed.map(({ file }) => file.path));
    printed.push(...now.filter(({ path }) => !known.has(path)).map((file) => ({ file, offset: 0 })));
  }
}

async function stillRuns(ask: AskRunner): Promise<boolean> {
  try {
    await ask("ps", undefined);
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

/** Prints what has been added to each file. Lines carry their file's label where there are several. */
async function printAll(printed: readonly Printed[], wholeLines: boolean, style: Style): Promise<void> {
  const width = Math.max(...printed.map(({ file }) => file.label.length));
  for (const each of printed) {
    const before = printed.length < 2 ? "" : `${style.cyan(each.file.label.padEnd(width))}  `;
    each.offset = await readOn(each.file.path, each.offset, wholeLines, (lines) => {
      process.stdout.write(lines.map((line) => `${before}${line}\n`).join(""));
    });
  }
}
