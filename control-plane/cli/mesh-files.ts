// The YAML of a mesh for commands that run nothing: folders and files as they were typed come in, the text of each file goes out.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { CommandError, EXIT } from "./command-error.ts";

/**
 * The text of every `*.yaml` and `*.yml` of folders (but for hidden ones and node_modules) and of every file, by path as a person would type it, sorted.
 * Files of routing tests are left out: they hold no resources. Rejects with a CommandError where a path cannot be read, or a folder holds no YAML.
 */
export async function readMeshFiles(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const path of paths) {
    for (const file of await filesAt(path)) {
      const text = await readFile(file, "utf8");
      if (!isRoutingTest(text)) found.set(file, text);
    }
  }
  if (found.size === 0) throw new CommandError(`there is no YAML in ${paths.join(", ")}`, "Name the folder that holds the mesh's YAML", EXIT.usage);
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The files of a folder, or the file itself. Rejects with a CommandError. */
export async function filesAt(path: string): Promise<readonly string[]> {
  const stats = await stat(path).catch(() => {
    throw new CommandError(`there is no ${path}`, "Name a folder or a file of YAML", EXIT.usage);
  });
  if (!stats.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const shown = entries.filter(({ name }) => !name.startsWith(".") && name !== "node_modules").sort((a, b) => (a.name < b.name ? -1 : 1));
  const inner = shown.map(async (entry) => {
    const at = join(path, entry.name);
    if (entry.isDirectory()) return filesAt(at);
    return /\.ya?ml$/.test(entry.name) ? [at] : [];
  });
  return (await Promise.all(inner)).flat();
}

/** Whether a text is a file of tests: its documents have `tests` or `testCases` and no kind. */
export function isRoutingTest(text: string): boolean {
  if (!/^(tests|testCases):/m.test(text)) return false;
  const documents = parseAllDocuments(text).map((document): unknown => document.toJS());
  const kinds = documents.filter((document) => typeof document === "object" && document !== null && "kind" in document);
  return kinds.length === 0;
}
