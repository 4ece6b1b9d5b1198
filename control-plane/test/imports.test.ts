// The folders are the pipeline: data flows down the list, and imports never point up it. This test reads the import statements.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const CONTROL_PLANE = join(dirname(fileURLToPath(import.meta.url)), "..");

/** In flow order: a folder may import those before it, and itself. */
const FLOW = ["model", "source", "validate", "mesh", "translate", "snapshot", "xds"];
/** Pure folders: no file, socket, process or clock may be reached from them. */
const PURE = ["model", "validate", "mesh", "translate", "snapshot"];
const IO_MODULES = ["fs", "fs/promises", "net", "http", "http2", "https", "child_process", "dgram", "dns", "os", "worker_threads"];

interface Import {
  readonly from: string;
  readonly folder: string;
  readonly target: string;
}

function importsOf(folder: string): readonly Import[] {
  const files = readdirSync(join(CONTROL_PLANE, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .flatMap((file) => {
      const path = join(CONTROL_PLANE, folder, file);
      const statements = readFileSync(path, "utf8").matchAll(/^(?:import|export)[^"';]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm);
      return [...statements].map(([, named, bare]) => ({ from: `${folder}/${file}`, folder, target: resolveTarget(path, named ?? bare ?? "") }));
    });
}

/** The pipeline folder that a relative import reaches, or the module's name. */
function resolveTarget(path: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier.replace(/^node:/, "");
  const inside = relative(CONTROL_PLANE, resolve(dirname(path), specifier));
  return inside.startsWith("..") ? `outside:${inside}` : (inside.split(sep)[0] ?? "");
}

describe("imports", () => {
  it.each(FLOW)("%s imports only what stands before it in the flow", (folder) => {
    const allowed = new Set([...FLOW.slice(0, FLOW.indexOf(folder) + 1), "gen"]);
    const wrong = importsOf(folder).filter(
      ({ target }) => (FLOW.includes(target) || target.startsWith("outside:") || LATER.includes(target)) && !allowed.has(target),
    );
    expect(wrong).toEqual([]);
  });

  it.each(PURE)("%s does no input or output", (folder) => {
    expect(importsOf(folder).filter(({ target }) => IO_MODULES.includes(target))).toEqual([]);
  });

  it("reads the import statements of every folder", () => {
    for (const folder of FLOW) expect(importsOf(folder).length, folder).toBeGreaterThan(0);
  });
});

/** Folders beside the pipeline, which the pipeline may not know. */
const LATER = ["conformance", "analyze", "ca", "local", "cli", "admin", "dev", "kubernetes", "main.ts"];
