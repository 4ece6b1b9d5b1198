// A folder of YAML: the text of all its files, and again whenever some of them change. A change is told once the folder is quiet, so that
// several files saved together are one change, and never while an editor is halfway through replacing a file. The system's events only say when
// to look again; what has changed is seen by looking, since events get lost when files are renamed over each other.
import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

export interface DirectoryOptions {
  readonly folder: string;
  /** All files (relative path, sorted, to text), those that changed since the last call, and when the first of these changes was seen (Unix ms). */
  readonly onChange: (files: ReadonlyMap<string, string>, changed: readonly string[], changedAtMs: number) => void;
  /** The folder or a file of it cannot be read any more; watching goes on. */
  readonly onError: (error: Error) => void;
  /** How long a file must seem gone or empty before it is believed. Editors that move the old file away, or empty it first, leave such a moment. */
  readonly goneMs?: number;
}

export interface WatchedDirectory {
  /** As they were when the watch began. */
  readonly files: ReadonlyMap<string, string>;
  readonly close: () => Promise<void>;
}

/** Events of one edit come within a few milliseconds. */
const QUIET_MS = 30;
const GONE_MS = 150;
/** A folder that is never quiet is still read this often. */
const MAX_WAIT_MS = 500;
/** Where the system gives no events (network file systems, too many watches), changes are still seen this often. */
const LOOK_ANYWAY_MS = 5_000;
/** Two edits this close to each other may leave the same time on a file. */
const TIMESTAMP_GRAIN_MS = 100;

/** A file as it was read. Equal stamps mean equal texts, unless it was read too soon after it was written. */
interface ReadFile {
  readonly text: string;
  readonly stamp: string;
  readonly settled: boolean;
}

/** Reads every `*.yaml` and `*.yml` below the folder, but for hidden folders, node_modules and `*.test.yaml`, and watches them. Rejects when the folder cannot be read. */
export async function watchDirectory(options: DirectoryOptions): Promise<WatchedDirectory> {
  const { folder, goneMs = GONE_MS } = options;
  if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`);
  const watchers = new Map<string, FSWatcher>();
  let files: ReadonlyMap<string, ReadFile> = new Map();
  let firstEventMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let closed = false;

  const wake = (): void => {
    firstEventMs ??= Date.now();
    schedule(Math.max(0, Math.min(QUIET_MS, firstEventMs + MAX_WAIT_MS - Date.now())));
  };
  const schedule = (quietMs: number): void => {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      looking = looking.then(() => look(firstEventMs ?? Date.now())).catch(options.onError);
    }, quietMs);
  };

  /** Looks at the whole folder. A file that seems gone or empty is looked at again before it is believed; everything else waits with it, since it is one change. */
  async function look(eventMs: number): Promise<void> {
    if (closed) return;
    firstEventMs = undefined;
    const found = await readAll(folder, files, watchFolders, options.onError);
    const changed = [...new Set([...files.keys(), ...found.keys()])].filter((path) => files.get(path)?.text !== found.get(path)?.text).sort();
    const doubtful = changed.some((path) => (files.get(path)?.text ?? "") !== "" && (found.get(path)?.text ?? "") === "");
    if (doubtful && Date.now() - eventMs < goneMs) {
      firstEventMs = eventMs;
      schedule(GONE_MS);
      return;
    }
    files = found;
    if (changed.length > 0 && !closed) options.onChange(textsOf(files), changed, eventMs);
  }

  /** Watches just these folders: each says when an entry of it changes, comes or goes. */
  function watchFolders(folders: readonly string[]): void {
    for (const [path, watcher] of watchers) {
      if (folders.includes(path)) continue;
      watcher.close();
      watchers.delete(path);
    }
    for (const path of folders) {
      if (watchers.has(path) || closed) continue;
      try {
        const watcher = watch(join(folder, path), wake);
        watcher.on("error", () => {
          // The folder is gone, or will be looked at anyway.
          watcher.close();
          watchers.delete(path);
          wake();
        });
        watchers.set(path, watcher);
      } catch (error) {
        options.onError(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  files = await readAll(folder, files, watchFolders, options.onError);
  const anyway = setInterval(wake, LOOK_ANYWAY_MS);
  // What changed while it was first read was maybe not watched yet.
  wake();
  return {
    files: textsOf(files),
    close: async () => {
      closed = true;
      clearTimeout(timer);
      clearInterval(anyway);
      for (const watcher of watchers.values()) watcher.close();
      await looking;
    },
  };
}

/** All files of the folder; those whose stamp is as it was are not read again. `onFolders` hears of the folders before their files are read, so that no later change is missed. */
async function readAll(
  folder: string,
  former: ReadonlyMap<string, ReadFile>,
  onFolders: (folders: readonly string[]) => void,
  onError: (error: Error) => void,
): Promise<ReadonlyMap<string, ReadFile>> {
  const folders: string[] = [];
  const paths: string[] = [];
  await list(folder, "", folders, paths);
  onFolders(folders);
  // What came into a folder before it was watched is seen by listing again.
  paths.length = 0;
  await list(folder, "", [], paths);
  const read = await Promise.all(
    paths.sort().map(async (path) => {
      try {
        return [path, await readOne(join(folder, path), former.get(path))] as const;
      } catch (error) {
        if (isGone(error)) return undefined;
        onError(error instanceof Error ? error : new Error(String(error)));
        const last = former.get(path);
        return last === undefined ? undefined : ([path, last] as const);
      }
    }),
  );
  return new Map(read.filter((entry) => entry !== undefined));
}

async function readOne(path: string, former: ReadFile | undefined): Promise<ReadFile> {
  const { mtimeMs, ctimeMs, size, ino } = await stat(path);
  const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
  if (former?.stamp === stamp && former.settled) return former;
  const settled = Date.now() - Math.max(mtimeMs, ctimeMs) > TIMESTAMP_GRAIN_MS;
  return { text: await readFile(path, "utf8"), stamp, settled };
}

/** Folders and YAML files below `path`, relative to `folder`. Hidden ones (an editor's, git's) and node_modules hold no resources. */
async function list(folder: string, path: string, folders: string[], paths: string[]): Promise<void> {
  try {
    const entries = await readdir(join(folder, path), { withFileTypes: true });
    folders.push(path);
    for (const entry of entries) {
      const inner = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      if (entry.isDirectory()) await list(folder, inner, folders, paths);
      else if (isYaml(entry.name) && (entry.isFile() || entry.isSymbolicLink())) paths.push(inner);
    }
  } catch (error) {
    if (!isGone(error) || path === "") throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR", "EISDIR"].includes(String(error.code));
}

/** Files of routing tests may lie beside what they test. */
function isYaml(name: string): boolean {
  return /\.ya?ml$/.test(name) && !/\.test\.ya?ml$/.test(name);
}

function textsOf(files: ReadonlyMap<string, ReadFile>): ReadonlyMap<string, string> {
  return new Map([...files].map(([path, { text }]) => [path, text]));
}
