// Mistakes that leave no doubt of what was meant: the tree goes on as it was meant, so that one mistake does not hide the next. Each mend is
// still an error; only an empty value (`http:`) is, as in Kubernetes, the same as an absent field.
import type { z } from "zod";
import type { Edit } from "../model/diagnostic.ts";
import { isSlip, nearest } from "../model/nearest.ts";
import type { FieldPath } from "../model/resource.ts";
import { fieldText, pathText } from "./field-text.ts";
import { fieldsAt, isList, mayBeAbsent, schemaAt } from "./schema-walk.ts";
import { type Place, type Tree, treeAt, withTreeAt } from "./tree.ts";

/** A mistake against a schema, at the place where it stands. */
export interface Finding {
  readonly code: string;
  readonly place: Place;
  readonly what: string;
  readonly fix: string;
  readonly edit?: Edit;
}

export interface Mend {
  readonly tree: Tree;
  readonly findings: readonly Finding[];
  /** Later paths of the same list no longer hold: check again before mending on. */
  readonly shifts: boolean;
}

/** The tree as it was meant, where `issue` leaves no doubt of that. */
export function mend(tree: Tree, schema: z.ZodType, issue: z.core.$ZodIssue): Mend | undefined {
  const path = issue.path as FieldPath;
  if (issue.code === "unrecognized_keys") return mendUnknownFields(tree, schema, path, issue.keys);
  const at = treeAt(tree, path);
  if (at === undefined) return undefined;
  if (at.kind === "scalar" && at.value === null && mayBeAbsent(schema, path)) {
    return { tree: withTreeAt(tree, path, undefined), findings: [], shifts: false };
  }
  if (issue.code !== "invalid_type") return undefined;
  if (issue.expected === "array" && at.kind === "map") return mendMapForList(tree, path, at);
  if (at.kind !== "scalar" || at.value === null) return undefined;
  if (issue.expected === "array") return mendScalarForList(tree, schema, path, at);
  if (issue.expected === "object") return mendScalarForMap(tree, schema, path, at);
  return mendScalar(tree, path, at, issue.expected);
}

/** `route: {route: […]}`, `http: {route: …}`. */
function mendMapForList(tree: Tree, path: FieldPath, at: Tree & { kind: "map" }): Mend {
  const name = String(path.at(-1));
  const nested = at.entries.get(name);
  if (nested !== undefined && at.entries.size === 1) {
    const what = `${fieldText(path)} stands inside another ${fieldText(path)}`;
    const fix = `remove the inner \`${name}:\` and list its entries under the outer one: ${exampleOfList(name, nested)}`;
    return { tree: withTreeAt(tree, path, { ...nested, place: at.place }), findings: [{ code: "WEFT0204", place: nested.place, what, fix }], shifts: false };
  }
  const what = `${fieldText(path)} must be a list, and a map stands there`;
  const fix = `begin its first field with "- ": ${exampleOfList(name, at)}`;
  const finding: Finding = { code: "WEFT0203", place: at.place, what, fix, edit: { kind: "list", from: "", to: "" } };
  return { tree: withTreeAt(tree, path, { kind: "list", items: [at], place: at.place }), findings: [finding], shifts: false };
}

/** `hosts: reviews`. */
function mendScalarForList(tree: Tree, schema: z.ZodType, path: FieldPath, at: Tree & { kind: "scalar" }): Mend | undefined {
  if (fieldsAt(schema, [...path, 0]).length > 0) return undefined;
  const what = `${fieldText(path)} must be a list, and a single value stands there`;
  const text = at.text ?? String(at.value);
  const edit: Edit = { kind: "value", from: text, to: `[${text}]` };
  const finding: Finding = { code: "WEFT0203", place: at.place, what, fix: `write \`${path.at(-1)}: [${text}]\``, edit };
  return { tree: withTreeAt(tree, path, { kind: "list", items: [at], place: at.place }), findings: [finding], shifts: false };
}

/** The field that people leave out of a map when they write its value alone. */
const PRINCIPAL_FIELDS = ["host", "number", "prefix", "value", "fixedDelay"];

/** `destination: reviews`, `port: 80`, `uri: /a`, `percentage: 50`. */
function mendScalarForMap(tree: Tree, schema: z.ZodType, path: FieldPath, at: Tree & { kind: "scalar" }): Mend | undefined {
  const fields = fieldsAt(schema, path);
  const principal = PRINCIPAL_FIELDS.find((field) => fields.includes(field));
  if (principal === undefined) return undefined;
  const what = `${fieldText(path)} must be a map, and a single value stands there`;
  const finding = { code: "WEFT0203", place: at.place, what, fix: `write \`${keyText(path)}{${principal}: ${at.text ?? at.value}}\`` };
  return { tree: withTreeAt(tree, path, { kind: "map", entries: new Map([[principal, at]]), place: at.place }), findings: [finding], shifts: false };
}

/** `http: - route: …`, with as much of the value as fits a line. */
function exampleOfList(name: string, value: Tree): string {
  const first = value.kind === "list" ? value.items[0] : value;
  const field = first?.kind === "map" ? [...first.entries.keys()][0] : undefined;
  return field === undefined ? `\`${name}:\` then \`- …\`` : `\`${name}:\` then \`- ${field}: …\``;
}

const PERCENT = /^\s*([+-]?\d+(?:\.\d+)?)\s*%\s*$/;
const NUMBER = /^\s*[+-]?\d+(?:\.\d+)?\s*$/;
const TRUTH: Readonly<Record<string, boolean>> = { true: true, yes: true, on: true, false: false, no: false, off: false };

/** `weight: 10%`, `port: "80"`, `version: 1`, `enabled: "yes"`. */
function mendScalar(tree: Tree, path: FieldPath, at: Tree & { kind: "scalar" }, expected: string): Mend | undefined {
  const name = keyText(path);
  const meant = (value: string | number | boolean, what: string, fix: string): Mend => {
    const { text = String(at.value), ...rest } = at;
    const edit: Edit = { kind: "value", from: text, to: typeof value === "string" ? JSON.stringify(value) : String(value) };
    return { tree: withTreeAt(tree, path, { ...rest, value }), findings: [{ code: "WEFT0202", place: at.place, what, fix, edit }], shifts: false };
  };
  if (expected === "string" && typeof at.value !== "string") {
    const text = at.text ?? String(at.value);
    const read = typeof at.value === "number" ? "a number" : "true or false";
    return meant(text, `${fieldText(path)} must be a string, and YAML reads \`${text}\` as ${read}`, `quote it: \`${name}"${text}"\``);
  }
  if ((expected === "number" || expected === "int") && typeof at.value === "string") {
    const percent = PERCENT.exec(at.value)?.[1];
    if (percent !== undefined) {
      return meant(
        Number(percent),
        `${fieldText(path)} must be a number without a percent sign, not ${JSON.stringify(at.value)}`,
        `write \`${name}${percent}\``,
      );
    }
    if (NUMBER.test(at.value)) {
      const number = at.value.trim();
      return meant(
        Number(number),
        `${fieldText(path)} must be a number, and ${JSON.stringify(at.value)} is a string`,
        `remove the quotes: \`${name}${number}\``,
      );
    }
  }
  const truth = typeof at.value === "string" ? TRUTH[at.value.toLowerCase()] : undefined;
  if (expected === "boolean" && truth !== undefined) {
    return meant(truth, `${fieldText(path)} must be true or false, and ${JSON.stringify(at.value)} is a string`, `write \`${name}${truth}\``);
  }
  return undefined;
}

/** `weight: ` for a field, `- ` for an item. */
function keyText(path: FieldPath): string {
  const last = path.at(-1);
  return typeof last === "number" ? "- " : `${last}: `;
}

function mendUnknownFields(tree: Tree, schema: z.ZodType, path: FieldPath, keys: readonly string[]): Mend | undefined {
  const at = treeAt(tree, path);
  if (at?.kind !== "map") return undefined;
  const nested = mendNestedItem(tree, schema, path, keys, at);
  if (nested !== undefined) return nested;
  const known = fieldsAt(schema, path);
  const entries = new Map(at.entries);
  const findings: Finding[] = [];
  for (const key of keys) {
    const value = entries.get(key);
    if (value === undefined) continue;
    entries.delete(key);
    const meant = nearest(
      key,
      known.filter((field) => !at.entries.has(field)),
    );
    const what = `unknown field "${key}" in ${pathText(path)}`;
    const fix = meant === undefined ? unknownFieldFix(schema, path, at, key, known) : `did you mean \`${meant}\`?`;
    const edit: Edit | undefined = meant !== undefined && isSlip(key, meant) ? { kind: "key", from: key, to: meant } : undefined;
    findings.push({ code: "WEFT0201", place: value.place, what, fix: fix.replace(/\?$/, ""), ...(edit === undefined ? {} : { edit }) });
    if (meant !== undefined && schemaAt(schema, [...path, meant]) !== undefined) entries.set(meant, value);
  }
  return { tree: withTreeAt(tree, path, { ...at, entries }), findings, shifts: false };
}

/** A field that is right one level further out or in is the commonest slip of indentation. */
function unknownFieldFix(schema: z.ZodType, path: FieldPath, at: Tree & { kind: "map" }, key: string, known: readonly string[]): string {
  const outer = [...path.keys()]
    .reverse()
    .map((length) => path.slice(0, length))
    .find((parent) => fieldsAt(schema, parent).includes(key));
  if (outer !== undefined) return `\`${key}\` belongs to ${pathText(outer)}: indent it less`;
  // Of fields that are not written, only those that must be are likely to be meant.
  const likely = known.filter((field) => at.entries.has(field) || !mayBeAbsent(schema, [...path, field]));
  const inner = likely.find((field) => fieldsAt(schema, [...path, field]).includes(key) || fieldsAt(schema, [...path, field, 0]).includes(key));
  if (inner !== undefined) return `\`${key}\` belongs to \`${inner}\`: move it there`;
  return known.length === 0 ? "remove it" : `the fields here are ${known.join(", ")}`;
}

/** `route: [{route: […]}]`: a list whose item holds that list once more. */
function mendNestedItem(tree: Tree, schema: z.ZodType, path: FieldPath, keys: readonly string[], at: Tree & { kind: "map" }): Mend | undefined {
  const listPath = path.slice(0, -1);
  const name = String(listPath.at(-1));
  const list = treeAt(tree, listPath);
  const nested = at.entries.get(name);
  if (list?.kind !== "list" || nested === undefined || !keys.includes(name) || at.entries.size > 1 || !isList(schema, listPath)) return undefined;
  const inner = nested.kind === "list" ? nested.items : [nested];
  const what = `${fieldText(listPath)} stands inside another ${fieldText(listPath)}`;
  const fix = `remove the inner \`${name}:\` and list its entries under the outer one: ${exampleOfList(name, nested)}`;
  const items = list.items.flatMap((item) => (item === at ? inner : [item]));
  return { tree: withTreeAt(tree, listPath, { ...list, items }), findings: [{ code: "WEFT0204", place: nested.place, what, fix }], shifts: true };
}
