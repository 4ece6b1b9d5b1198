// One file out of the many modules of the control plane, made anew at each start: Node reads it in a quarter of the time that it takes to translate each
// module by itself, and a control plane that was killed is back the sooner.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Plugin } from "esbuild";

/** Inside the project, so that packages are found from there. */
const FOLDER = fileURLToPath(new URL("../../node_modules/.cache/weft", import.meta.url));
/** A mesh that runs starts its control plane again from its own file, so that files are left for a while. */
const KEPT_MS = 7 * 24 * 3_600_000;

/**
 * The path of a file that does what `entry` does, with packages left outside. Undefined where it cannot be made or written (a folder that is read only): the
 * modules themselves do the same.
 */
export async function bundled(entry: string): Promise<string | undefined> {
  try {
    const { build } = await import("esbuild");
    const { outputFiles } = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      platform: "node",
      format: "esm",
      target: "node20",
      packages: "external",
      sourcemap: "inline",
      plugins: [ownUrls],
      logLevel: "silent",
    });
    const [output] = outputFiles;
    if (output === undefined) return undefined;
    await mkdir(FOLDER, { recursive: true });
    await removeOld();
    const digest = createHash("sha256").update(output.contents).digest("hex").slice(0, 16);
    const path = join(FOLDER, `control-plane-${digest}.mjs`);
    const temporary = `${path}.${process.pid}`;
    await writeFile(temporary, output.contents);
    await rename(temporary, path);
    return path;
  } catch {
    return undefined;
  }
}

/** A module finds files beside itself by its own URL, which is not the bundle's. */
const ownUrls: Plugin = {
  name: "own-urls",
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!text.includes("import.meta.url")) return undefined;
      return { contents: text.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)), loader: "ts", resolveDir: dirname(path) };
    });
  },
};

async function removeOld(): Promise<void> {
  for (const name of await readdir(FOLDER)) {
    const path = join(FOLDER, name);
    const written = await stat(path).catch(() => undefined);
    if (name.startsWith("control-plane-") && written !== undefined && Date.now() - written.mtimeMs > KEPT_MS) await rm(path, { force: true });
  }
}
