// Compiles the filter: the AssemblyScript sources of this folder go in, build/weft-filter.wasm comes out, and nothing happens when it is up to date.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(FOLDER);
const OUTPUT = join(FOLDER, "build", "weft-filter.wasm");
/** TypeScript of this folder that is not part of the filter. */
const NOT_THE_FILTER = /^(host|bench|build|.*\.test)\.ts$/;

/** The built filter. */
export interface BuiltFilter {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * Builds the filter where its sources, its options or the compiler differ from those of the last build, by content.
 * May run in several processes at once: files are renamed into place. Rejects with the compiler's messages when it does not compile.
 */
export async function buildFilter(): Promise<BuiltFilter> {
  const stamp = join(FOLDER, "build", "weft-filter.source-sha256");
  const source = await sourceHash();
  const built = await Promise.all([readFile(stamp, "utf8"), stat(OUTPUT)]).catch(() => undefined);
  if (built?.[0] !== source) {
    await mkdir(dirname(OUTPUT), { recursive: true });
    await compile();
    await replaceFile(stamp, source);
  }
  return { path: OUTPUT, sizeBytes: (await stat(OUTPUT)).size };
}

async function compile(): Promise<void> {
  const { default: asc } = await import("assemblyscript/asc");
  const temporary = `${OUTPUT}.${process.pid}`;
  const { error, stderr } = await asc.main(["--config", "asconfig.json", "--baseDir", ROOT, "--outFile", temporary]);
  if (error) {
    await rm(temporary, { force: true });
    throw new Error(`the filter does not compile\n${stderr.toString()}`);
  }
  await rename(temporary, OUTPUT);
}

/** Hash over everything that the output depends on. */
async function sourceHash(): Promise<string> {
  const sources = (await readdir(FOLDER)).filter((name) => name.endsWith(".ts") && !NOT_THE_FILTER.test(name)).sort();
  const hash = createHash("sha256");
  const inputs = ["asconfig.json", "node_modules/assemblyscript/package.json", ...sources.map((name) => join("filter", name))];
  for (const input of inputs) hash.update(`${input}\n`).update(await readFile(join(ROOT, input)));
  return hash.digest("hex");
}

async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { path, sizeBytes } = await buildFilter();
  console.log(`${path} ${sizeBytes} bytes`);
}
