// Verdicts as a person reads them: a summary for the terminal and the page of compatibility. Pure.
import { tally, type Verdict } from "./verdict.ts";

/** The verdicts on one file of recorded answers. */
export interface ComparedFile {
  readonly file: string;
  readonly about: string;
  /** Least share of agreement that is promised. */
  readonly least: number;
  readonly verdicts: readonly Verdict[];
}

/** One line for each file: agreed, counted, share. */
export function summary(files: readonly ComparedFile[]): string {
  return files.map(({ file, verdicts }) => `${file.padEnd(26)} ${countText(verdicts)}\n`).join("");
}

function countText(verdicts: readonly Verdict[]): string {
  const { agreed, counted } = tally(verdicts);
  const excluded = verdicts.length - counted;
  const share = counted === 0 ? "" : ` (${((100 * agreed) / counted).toFixed(1)} %)`;
  return `${agreed} of ${counted} agree${share}${excluded === 0 ? "" : `, ${excluded} excluded`}`;
}

/** The page: counts, counts by kind, every disagreement with its reason, every line that is not counted. */
export function compatibilityPage(files: readonly ComparedFile[]): string {
  return [
    "# How far Weft agrees with Istio",
    "",
    "Istio's own answers, recorded from its unit tests, against Weft's under `defaults: istio`. Written by `npm run conformance`; do not edit.",
    "",
    "| answers | what they say | agree | of | share | not counted |",
    "| --- | --- | --- | --- | --- | --- |",
    ...files.map(fileRow),
    "",
    ...files.flatMap(fileSection),
  ].join("\n");
}

function fileRow({ file, about, verdicts }: ComparedFile): string {
  const { agreed, counted } = tally(verdicts);
  const share = counted === 0 ? "" : `${((100 * agreed) / counted).toFixed(1)} %`;
  return `| ${file} | ${about} | ${agreed} | ${counted} | ${share} | ${verdicts.length - counted} |`;
}

function fileSection({ file, verdicts }: ComparedFile): readonly string[] {
  const open = verdicts.filter(({ agreed, excluded }) => !agreed && excluded === undefined);
  const excluded = verdicts.filter((verdict) => verdict.excluded !== undefined);
  return [
    `## ${file}`,
    "",
    ...groupTable(verdicts),
    ...(open.length === 0
      ? ["Nothing disagrees.", ""]
      : ["| disagrees | why |", "| --- | --- |", ...open.map(({ id, reason }) => `| ${id} | ${cell(reason)} |`), ""]),
    ...(excluded.length === 0
      ? []
      : ["Not counted:", "", "| line | why |", "| --- | --- |", ...excluded.map(({ id, excluded: why = "" }) => `| ${cell(id)} | ${cell(why)} |`), ""]),
  ];
}

/** By kind or analyzer, where the lines say. */
function groupTable(verdicts: readonly Verdict[]): readonly string[] {
  const groups = [...new Set(verdicts.flatMap(({ group, excluded }) => (group === undefined || excluded !== undefined ? [] : [group])))].sort();
  if (groups.length < 2) return [];
  const rows = groups.map((group) => {
    const { agreed, counted } = tally(verdicts.filter((verdict) => verdict.group === group));
    return `| ${group} | ${agreed} | ${counted} |`;
  });
  return ["| of | agree | of |", "| --- | --- | --- |", ...rows, ""];
}

const LONGEST_CELL = 600;

function cell(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
  return line.length > LONGEST_CELL ? `${line.slice(0, LONGEST_CELL)}…` : line;
}
