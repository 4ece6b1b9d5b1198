// A folder of YAML: the text of all its files, and again whenever some of them change. A change is told once the folder is quiet, so that
// several files saved together are one change, and never while an editor is halfway through replacing a file.
import { readFile, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { watch } from "chokidar";

export interface DirectoryOptions {
  readonly folder: string;
  /** All files (relative path, sorted, to text), those that changed since the last call, and when the first of these changes was seen (Unix ms). */
  readonly onChange: (files: ReadonlyMap<string, string>, changed: readonly string[], changedAtMs: number) => void;
  /** The folder or a file of it cannot be read any more; watching goes on. */
  readonly onError: (error: Error) => void;
}

export interface WatchedDirectory {
  /** As they were when the watch began. */
  readonly files: ReadonlyMap<string, string>;
  readonly close: () => Promise<void>;
}

/** Events of one edit come within a few milliseconds. */
const QUIET_MS = 30;
/** Editors that move the old file away, or empty it first, leave a moment in which it seems gone: believed only after this. */
const GONE_QUIET_MS = 150;
/** A folder that is never quiet is still read this often. */
const MAX_WAIT_MS = 500;

/** Reads every `*.yaml` and `*.yml` below the folder, but for hidden folders and node_modules, and watches them. Rejects when the folder cannot be read. */
export async function watchDirectory(options: DirectoryOptions): Promise<WatchedDirectory> {
  const { folder } = options;
  if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`);
  const texts = new Map<string, string>();
  const touched = new Set<string>();
  let firstTouchedMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let reading = Promise.resolve();
  let closed = false;
  let started = false;

  const watcher = watch(folder, { ignored: (path) => isIgnored(folder, path), ignoreInitial: false, followSymlinks: true });
  watcher.on("all", (event, path) => {
    if ((event !== "add" && event !== "change" && event !== "unlink") || !isYaml(path)) return;
    touched.add(relative(folder, path).split(sep).join("/"));
    firstTouchedMs ??= Date.now();
    if (started) schedule(event === "unlink" ? GONE_QUIET_MS : QUIET_MS);
  });
  watcher.on("error", (error) => options.onError(error instanceof Error ? error : new Error(String(error))));
  await new Promise<void>((resolve) => watcher.once("ready", () => resolve()));
  await take(true);
  started = true;
  if (touched.size > 0) schedule(QUIET_MS);

  function schedule(quietMs: number): void {
    clearTimeout(timer);
    const leftMs = (firstTouchedMs ?? Date.now()) + MAX_WAIT_MS - Date.now();
    timer = setTimeout(
      () => {
        reading = reading.then(() => take(false)).catch(options.onError);
      },
      Math.max(0, Math.min(quietMs, leftMs)),
    );
  }

  /** Reads what was touched. A file that seems gone or empty is looked at again before it is believed; everything else waits with it, since it is one change. */
  async function take(first: boolean): Promise<void> {
    if (closed) return;
    const paths = [...touched].sort();
    const touchedMs = firstTouchedMs ?? Date.now();
    touched.clear();
    firstTouchedMs = undefined;
    const found = new Map(await Promise.all(paths.map(async (path) => [path, await textOf(path)] as const)));
    const doubtful = paths.filter((path) => (texts.get(path) ?? "") !== "" && (found.get(path) ?? "") === "");
    if (!first && doubtful.length > 0 && Date.now() - touchedMs < GONE_QUIET_MS) {
      for (const path of paths) touched.add(path);
      firstTouchedMs = touchedMs;
      schedule(GONE_QUIET_MS);
      return;
    }
    const changed = paths.filter((path) => found.get(path) !== texts.get(path));
    for (const path of changed) {
      const text = found.get(path);
      if (text === undefined) texts.delete(path);
      else texts.set(path, text);
    }
    if (!first && changed.length > 0 && !closed) options.onChange(sorted(texts), changed, touchedMs);
  }

  /** A file that cannot be read keeps its former text. */
  async function textOf(path: string): Promise<string | undefined> {
    try {
      return await readFile(join(folder, path), "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
      options.onError(error as Error);
      return texts.get(path);
    }
  }

  return {
    files: sorted(texts),
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await watcher.close();
      await reading;
    },
  };
}

function sorted(texts: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...texts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isYaml(path: string): boolean {
  return path.endsWith(".yaml") || path.endsWith(".yml");
}

/** Hidden folders and files (an editor's, git's) and node_modules hold no resources. */
function isIgnored(folder: string, path: string): boolean {
  if (path === folder) return false;
  const name = basename(path);
  return name.startsWith(".") || name === "node_modules";
}
