// `npm run conformance [-- DIR]`: compares Weft with the recorded answers of a folder, prints how many agree, and for the folder beside the project writes
// docs/compatibility.md with every disagreement and its reason. Exits 1 where a comparison falls below what is promised.
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compareAnalyzers } from "./analyzers.ts";
import { compareDocuments, readDocuments } from "./documents.ts";
import { CONFORMANCE, readLines } from "./lines.ts";
import { compareLocality } from "./locality.ts";
import { type ComparedFile, compatibilityPage, summary } from "./report.ts";
import { compareRoutes } from "./routes.ts";
import { compareSimulations } from "./simulation.ts";
import { compareValidation } from "./validate.ts";
import { type Comparison, tally, type Verdict } from "./verdict.ts";

/** Certificates of the recorded inputs are valid at this time. */
const RECORDED_MS = Date.parse("2026-08-22T00:00:00Z");
const PAGE = "docs/compatibility.md";

interface Compared {
  readonly file: string;
  /** What a line asks. */
  readonly about: string;
  readonly compare: Comparison;
  /** Least share of agreement that is promised. */
  readonly least: number;
}

const folder = process.argv[2] ?? CONFORMANCE;

const FILES: readonly Compared[] = [
  { file: "validate.jsonl", about: "would Istio accept this object", compare: compareValidation, least: 0.98 },
  { file: "validate_part.jsonl", about: "would Istio accept this part of one", compare: compareValidation, least: 0.98 },
  { file: "analyzers.jsonl", about: "what `istioctl analyze` says", compare: (lines) => compareAnalyzers(lines, folder, RECORDED_MS), least: 0.95 },
  { file: "locality.jsonl", about: "weights and priorities of localities", compare: compareLocality, least: 0.85 },
  { file: "routes.jsonl", about: "a VirtualService's routes in Envoy", compare: compareRoutes, least: 0.95 },
  { file: "simulation.jsonl", about: "which cluster a request reaches", compare: compareSimulations, least: 0.95 },
];

/** One line alone: where a folder has a line of another shape, the others are compared all the same. */
async function compareLine(compare: Comparison, line: unknown, index: number): Promise<readonly Verdict[]> {
  try {
    return await compare([line]);
  } catch (cause) {
    return [{ id: `line ${index + 1}`, agreed: false, reason: `this line could not be compared: ${cause instanceof Error ? cause.message : cause}` }];
  }
}

async function compareAll(): Promise<readonly ComparedFile[]> {
  const compared: ComparedFile[] = [];
  for (const { file, about, compare, least } of FILES) {
    if (!existsSync(join(folder, file))) continue;
    const verdicts = await Promise.all((await readLines(file, folder)).map((line, index) => compareLine(compare, line, index)));
    compared.push({ file, about, least, verdicts: verdicts.flat() });
  }
  const documents = await readDocuments(folder);
  if (documents.length > 0) {
    compared.push({
      file: "validation/testdata/crds",
      about: "documents that a cluster refuses (`_err`) or accepts",
      least: 1,
      verdicts: compareDocuments(documents),
    });
  }
  return compared;
}

if (!existsSync(folder)) {
  process.stderr.write(`there is no ${folder}: name a folder of recorded answers\n`);
  process.exit(2);
}
const compared = await compareAll();
process.stdout.write(summary(compared));
if (folder === CONFORMANCE) {
  await writeFile(PAGE, compatibilityPage(compared));
  process.stdout.write(`every disagreement, with its reason: ${PAGE}\n`);
} else {
  for (const { file, verdicts } of compared) {
    for (const { id, reason } of verdicts.filter(({ agreed, excluded }) => !agreed && excluded === undefined))
      process.stdout.write(`${file} ${id}: ${reason}\n`);
  }
}
const short = compared.filter(({ verdicts, least }) => {
  const { agreed, counted } = tally(verdicts);
  return agreed < counted * least;
});
for (const { file, least } of short) process.stderr.write(`${file}: fewer than ${least * 100} in 100 agree\n`);
process.exitCode = short.length > 0 ? 1 : 0;
