// `weft analyze`: what is wrong with YAML, said as Istio would and before anything runs; with --fix what leaves no doubt is mended.
import { randomUUID } from "node:crypto";
import { rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type AnalyzedDiagnostic, analyze as analyzed } from "../analyze/analyze.ts";
import { edited } from "../analyze/edits.ts";
import { buildMesh } from "../mesh/build.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import { EMPTY_LAST_GOOD } from "../model/last-good.ts";
import { type ParsedFile, parseFile } from "../source/parse-file.ts";
import { effectiveResources } from "../validate/effective.ts";
import { type ClusterOption, withFilesOf } from "./cluster-mesh.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { countText, diagnosticText } from "./diagnostic-text.ts";
import { readMeshFiles } from "./mesh-files.ts";
import { styleOf } from "./style.ts";

export interface AnalyzeOptions extends ClusterOption {
  readonly output: "text" | "json";
  /** Warnings fail, too. */
  readonly strict?: true;
  readonly fix?: true;
  readonly platform: "weft" | "istio";
}

/** Prints what is found, or what is mended. Exit code 1 where there is an error, with `strict` a warning. */
export async function analyze(paths: readonly string[], options: AnalyzeOptions): Promise<number> {
  if (options.cluster !== undefined && options.fix === true)
    throw new CommandError("--fix mends files, and a cluster has none", "Mend the files that were applied, and apply them again", EXIT.usage);
  if (options.cluster === undefined && paths.length === 0)
    throw new CommandError("no files are named", "Name folders or files of YAML, or a cluster with --context", EXIT.usage);
  let files = options.cluster === undefined ? await readMeshFiles(paths) : await withFilesOf(options.cluster, paths);
  const isText = options.output === "text";
  if (options.fix === true) {
    const fixed = new Map([...files].map(([file, text]) => [file, mended(file, text)]));
    for (const [file, text] of fixed) {
      const before = files.get(file) ?? "";
      if (text === before) continue;
      await replaceFile(file, text);
      if (isText) process.stdout.write(lineDiff(file, before, text));
    }
    files = fixed;
  }
  const found = findings(files, options.platform);
  process.stdout.write(isText ? findingsText(found, files) : `${JSON.stringify(found, undefined, 2)}\n`);
  const fails = found.some(({ severity }) => severity === "error" || (options.strict === true && severity === "warning"));
  return fails ? EXIT.failed : EXIT.ok;
}

/** Everything that is found in these files (path to text). */
export function findings(files: ReadonlyMap<string, string>, platform: AnalyzeOptions["platform"]): readonly AnalyzedDiagnostic[] {
  return analyzed(files, { platform, nowMs: Date.now(), ...(platform === "weft" ? { meshDiagnostics } : {}) });
}

/** What the mesh says of its resources, before anything runs. */
function meshDiagnostics(parsed: readonly ParsedFile[]): readonly Diagnostic[] {
  const { resources } = effectiveResources(new Map(parsed.map((file) => [file.file, file])), EMPTY_LAST_GOOD);
  return buildMesh({ resources, instances: [], proxies: [], domain: "cluster.local" }).diagnostics;
}

function findingsText(found: readonly AnalyzedDiagnostic[], files: ReadonlyMap<string, string>): string {
  const style = styleOf(process.stdout, process.env);
  const texts = found.map((diagnostic) => `${diagnosticText(diagnostic, files.get(diagnostic.origin.file), style)}\n`);
  const fixable = found.filter(({ edit }) => edit !== undefined).length;
  const hint = fixable === 0 ? "" : `, ${fixable} of them mended by --fix`;
  return `${texts.join("")}${countText(found)} in ${files.size} file${files.size === 1 ? "" : "s"}${hint}\n`;
}

/** One mistake may hide the next, and a list that was a map moves what is in it. */
const MAX_ROUNDS = 50;

/** The text without the mistakes that leave no doubt. */
export function mended(file: string, text: string): string {
  let current = text;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const next = edited(current, parseFile(file, current).diagnostics);
    if (next === current) break;
    current = next;
  }
  return current;
}

/** Writes by renaming into place, with the file's own mode: a mesh that watches it never sees half of it. */
async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = join(dirname(file), `.${randomUUID()}.tmp`);
  await writeFile(temporary, text, { mode: (await stat(file)).mode });
  await rename(temporary, file);
}

/** The lines that differ, by number: fixes change lines, and neither add nor take away any. */
export function lineDiff(file: string, before: string, after: string): string {
  const changed = after.split("\n");
  const lines = before.split("\n").flatMap((line, index) => (line === changed[index] ? [] : [`@@ ${index + 1} @@`, `-${line}`, `+${changed[index] ?? ""}`]));
  return `${[`--- ${file}`, `+++ ${file}`, ...lines].join("\n")}\n`;
}
