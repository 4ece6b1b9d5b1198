// Folders that may hold a program's source, beside or above a folder of YAML. Reads names, and the few files that say how a program is started.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";

/** One folder with something in it that says how its program is started. */
export interface SourceFolder {
  /** Relative to the folder of YAML; `.` for itself, `../product` beside it. */
  readonly path: string;
  readonly name: string;
  /** Names of files, relative, two levels deep. */
  readonly files: ReadonlySet<string>;
  /** Texts of those of {@link TELLING_FILES} that are there. */
  readonly texts: ReadonlyMap<string, string>;
}

/** What tells how to start a program. */
export const TELLING_FILES = [
  "Dockerfile",
  "package.json",
  "go.mod",
  "pom.xml",
  "build.gradle",
  "build.gradle.kts",
  "pyproject.toml",
  "requirements.txt",
  "manage.py",
  "main.py",
  "app.py",
  "Cargo.toml",
] as const;

/** Never holds a service's source. */
const LEFT_OUT = new Set(["node_modules", "vendor", "target", "dist", "build", "venv", "__pycache__", "testdata"]);
const DEPTH = 4;
const MOST_FOLDERS = 3_000;
const LARGEST_TEXT_BYTES = 256 * 1024;
/** How far above the folder of YAML a repository's root is looked for. */
const PARENTS = 3;

/** All candidates: below the repository that the folder lies in, or below the folder alone where it lies in none. Nearest to the folder first. */
export async function sourceFolders(folder: string): Promise<readonly SourceFolder[]> {
  const root = await repositoryOf(folder);
  const found: SourceFolder[] = [];
  let seen = 0;
  const visit = async (path: string, depth: number): Promise<void> => {
    seen += 1;
    if (seen > MOST_FOLDERS) return;
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !LEFT_OUT.has(entry.name)).map(({ name }) => name);
    const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    const inner = await Promise.all(folders.map(async (name) => (await namesOf(join(path, name))).map((file) => `${name}/${file}`)));
    found.push({ path: relative(folder, path) || ".", name: basename(path), files: new Set([...names, ...inner.flat()]), texts: await textsOf(path, names) });
    if (depth > 0) for (const name of folders.sort()) await visit(join(path, name), depth - 1);
  };
  await visit(root, DEPTH);
  return found.sort((a, b) => steps(a.path) - steps(b.path) || (a.path < b.path ? -1 : 1));
}

/** Steps from the folder of YAML: those inside it are nearer than those outside. */
function steps(path: string): number {
  return path.split("/").length + (path.startsWith("..") ? 100 : 0);
}

async function repositoryOf(folder: string): Promise<string> {
  let candidate = folder;
  for (let step = 0; step <= PARENTS; step++) {
    if (await stat(join(candidate, ".git")).catch(() => undefined)) return candidate;
    const parent = dirname(candidate);
    if (parent === candidate) break;
    candidate = parent;
  }
  return folder;
}

async function namesOf(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

async function textsOf(path: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const name of TELLING_FILES) {
    if (!names.includes(name)) continue;
    const text = await readFile(join(path, name), "utf8").catch(() => "");
    if (text.length <= LARGEST_TEXT_BYTES) texts.set(name, text);
  }
  return texts;
}
