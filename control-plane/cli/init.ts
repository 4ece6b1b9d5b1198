// `weft init`: writes the local file of a folder, with a proposal for each workload, and says what it could not guess.
import { realpath, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { entryText, LOCAL_FILE, localFile } from "../local/init/local-file.ts";
import { type Proposal, proposals } from "../local/init/proposal.ts";
import { sourceFolders } from "../local/init/source-folder.ts";
import type { AnyResource } from "../model/resource.ts";
import { watchDirectory } from "../source/directory.ts";
import { parseFile } from "../source/parse-file.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";
import { typedPath } from "./typed-path.ts";

/** Resolves with 0 once the file is written or nothing is missing; rejects with a CommandError where it would have to write over something. */
export async function init(folder: string): Promise<number> {
  const path = await realpath(folder).catch(() => {
    throw new CommandError(`there is no folder ${folder}`, "Name a folder of Deployments and Services");
  });
  const resources = await resourcesOf(path);
  const deployments = resources.filter((resource) => resource.kind === "Deployment");
  const services = resources.filter((resource) => resource.kind === "Service");
  const localRuns = resources.filter((resource) => resource.kind === "LocalRun");
  if (deployments.length === 0) throw new CommandError(`${folder} has no Deployment`, "Name the folder that holds the YAML of your workloads");
  const found = proposals({ deployments, services, localRuns }, await sourceFolders(path));
  if (found.length === 0) {
    process.stdout.write(`A LocalRun stands for every image of ${folder} already: nothing is to be written.\n`);
    return EXIT.ok;
  }
  const target = join(path, LOCAL_FILE);
  // `wx` refuses to write over a file, whoever has made it meanwhile.
  await writeFile(target, localFile(documentName(path), found), { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw new CommandError(`${target} cannot be written: ${error.message}`, "Correct the permissions of the folder");
    const missing = found.map(entryText).join("");
    throw new CommandError(
      `${typedPath(target, process.cwd())} exists, and is not written over`,
      `Add to its spec.images what is missing:\n${missing.trimEnd()}\n`,
    );
  });
  process.stdout.write(`${initText(typedPath(path, process.cwd()), found, styleOf(process.stdout, process.env))}\n`);
  return EXIT.ok;
}

/** What a person reads: each image, what stands for it and why; then the next step. */
export function initText(folder: string, found: readonly Proposal[], style: Style): string {
  const stubs = found.filter(({ program }) => program === undefined);
  const rows = found.map(({ image, program, missing = "" }) => [image, program === undefined ? "stub" : program.command.join(" "), program?.reason ?? missing]);
  const [head = "", ...lines] = alignColumns([["IMAGE", "STANDS FOR IT", "WHY"], ...rows]);
  const next = [
    `Wrote ${join(folder, LOCAL_FILE)}: look it over.`,
    ...(stubs.length === 0
      ? []
      : [
          style.yellow(
            `${stubs.length} of ${found.length} could not be guessed: ${stubs.map(({ image }) => image).join(", ")}. They answer 501 until you name a command, or declare their answers.`,
          ),
        ]),
    `Then: npx weft up ${folder}`,
  ];
  return [style.bold(head), ...lines.map((line, index) => (found[index]?.program === undefined ? style.yellow(line) : line)), "", ...next].join("\n");
}

async function resourcesOf(folder: string): Promise<readonly AnyResource[]> {
  const directory = await watchDirectory({ folder, onChange: () => undefined, onError: () => undefined });
  await directory.close();
  return [...directory.files].flatMap(([file, text]) => parseFile(file, text).resources);
}

/** A name that Kubernetes takes. */
function documentName(path: string): string {
  const name = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
  return name === "" ? "local" : name;
}
