// The page of Istio's API: each kind and field, and whether it works, is refused, differs, or has no effect. Made of the schemas, of the table of what is
// not built and of the table of differences, so that it cannot tell anything else than the code. Pure.
import { stringMatch } from "../model/fields.ts";
import { KNOWN_KINDS, type KnownKind } from "../source/kinds.ts";
import { type FieldPattern, fieldPatterns, schemaAt } from "../source/schema-walk.ts";
import { NOT_BUILT } from "../validate/not-built.ts";
import { DIFFERENCES } from "./istio-differences.ts";

interface Row {
  readonly field: string;
  readonly standing: "works" | "partly" | "no effect" | "refused" | "differs";
  readonly note: string;
}

/** The page. */
export function istioApiPage(): string {
  const kinds = KNOWN_KINDS.filter(({ group }) => group.endsWith(".istio.io"));
  const rows = kinds.map((known) => ({ known, rows: rowsOf(known) }));
  return [
    "# Istio's API in Weft",
    "",
    "Each kind and field of Istio 1.32. Written by `npm run docs:api`; do not edit. Every field is read and checked as Istio checks it; a field without effect",
    "is named in a warning when it is used.",
    "",
    "| kind | fields | work | differ | partly | no effect | refused |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows.map(({ known, rows: fields }) => {
      const count = (standing: Row["standing"]) => fields.filter((row) => row.standing === standing).length;
      return `| [${known.kind}](#${known.kind.toLowerCase()}) | ${fields.length} | ${count("works")} | ${count("differs")} | ${count("partly")} | ${count("no effect")} | ${count("refused")} |`;
    }),
    "",
    ...rows.flatMap(({ known, rows: fields }) => kindSection(known, fields)),
  ].join("\n");
}

function kindSection({ kind, group, versions }: KnownKind, rows: readonly Row[]): readonly string[] {
  const whole = NOT_BUILT.find((entry) => entry.kind === kind && entry.path.length === 0);
  const standing = whole === undefined ? [] : [`**Without effect**: ${whole.instead}${whole.alternative === undefined ? "" : `; ${whole.alternative}`}.`, ""];
  return [
    `## ${kind}`,
    "",
    `\`${group}\`, ${versions.map((version) => `\`${version}\``).join(", ")}`,
    "",
    ...standing,
    "| field | | |",
    "| --- | --- | --- |",
    ...rows.map(({ field, standing: text, note }) => `| \`${field}\` | ${text} | ${note} |`),
    "",
  ];
}

function rowsOf({ kind, schema }: KnownKind): readonly Row[] {
  const spec = schemaAt(schema, ["spec"]);
  if (spec === undefined) return [];
  return fieldPatterns(spec, (field) => field === stringMatch).map((pattern) => rowOf(kind, pattern));
}

function rowOf(kind: string, pattern: FieldPattern): Row {
  const field = fieldText(pattern);
  const difference = DIFFERENCES.findLast((entry) => entry.kind === kind && isWithin(field, entry.field));
  if (difference !== undefined) return { field, standing: difference.standing, note: field === difference.field ? difference.note : "" };
  const missing = NOT_BUILT.find(({ kind: of, path }) => of === kind && covers(path, ["spec", ...pattern]));
  if (missing === undefined) return { field, standing: "works", note: "" };
  const isItself = missing.path.length === pattern.length + 1;
  return { field, standing: missing.unless === undefined ? "no effect" : "partly", note: isItself ? missing.instead : "" };
}

/** `http[].match[].uri`. */
function fieldText(pattern: FieldPattern): string {
  return pattern.reduce((text, step) => (step === "*" ? `${text}[]` : `${text}${text === "" ? "" : "."}${step}`), "");
}

function isWithin(field: string, of: string): boolean {
  return field === of || field.startsWith(`${of}.`) || field.startsWith(`${of}[`);
}

/** Whether a path of the table of what is not built is a field or one that holds it. */
function covers(path: readonly string[], pattern: readonly string[]): boolean {
  return path.length <= pattern.length && path.every((step, index) => step === pattern[index]);
}
