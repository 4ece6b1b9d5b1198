// A document's tree against its kind's schema: the typed value where there is one, and every mistake, mended where it leaves no doubt.
import type { z } from "zod";
import { nearest } from "../model/nearest.ts";
import type { FieldPath } from "../model/resource.ts";
import { fieldText, pathText } from "./field-text.ts";
import { type Finding, mend } from "./mend.ts";
import { mayBeAbsent } from "./schema-walk.ts";
import { placeOf, plainValue, type Tree, treeAt, withTreeAt } from "./tree.ts";

export interface CheckedDocument<Value> {
  /** The tree as it was meant. */
  readonly tree: Tree;
  /** Typed, of the mended tree; absent where a mistake leaves doubt. */
  readonly value: Value | undefined;
  readonly findings: readonly Finding[];
}

/** Each round mends all that it can; mistakes inside what was mended take another. */
const MAX_ROUNDS = 12;

/** Checks `tree` against `schema`. */
export function checkDocument<Value>(tree: Tree, schema: z.ZodType<Value>): CheckedDocument<Value> {
  const findings: Finding[] = [];
  let current = tree;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const result = schema.safeParse(plainValue(current));
    if (result.success) return { tree: current, value: result.data, findings };
    const before = current;
    const open: z.core.$ZodIssue[] = [];
    for (const issue of result.error.issues) {
      const mended = mend(current, schema, issue);
      if (mended === undefined) open.push(issue);
      else {
        current = mended.tree;
        findings.push(...mended.findings);
        if (mended.shifts) break;
      }
    }
    if (current !== before) continue;
    for (const issue of open) findings.push(...findingsOf(current, issue));
    const bared = withoutBadFields(current, schema, open);
    if (bared === undefined) return { tree: current, value: undefined, findings };
    current = bared;
  }
  return { tree: current, value: undefined, findings };
}

/** The tree without the fields that are wrong in themselves, if the rest may stand without them. */
function withoutBadFields(tree: Tree, schema: z.ZodType, issues: readonly z.core.$ZodIssue[]): Tree | undefined {
  let current = tree;
  for (const issue of issues) {
    const path = issue.path as FieldPath;
    if (treeAt(tree, path) === undefined || !mayBeAbsent(schema, path)) return undefined;
    current = withTreeAt(current, path, undefined);
  }
  return current === tree ? undefined : current;
}

function findingsOf(tree: Tree, issue: z.core.$ZodIssue): readonly Finding[] {
  const path = issue.path as FieldPath;
  const place = placeOf(tree, path);
  const at = treeAt(tree, path);
  const field = fieldText(path);
  const written = at === undefined ? "" : writtenText(at);
  if (at === undefined && issue.code !== "custom") {
    return [{ code: "WEFT0205", place, what: `${pathText(path)} is required`, fix: `add \`${path.at(-1)}:\` to ${pathText(path.slice(0, -1))}` }];
  }
  switch (issue.code) {
    case "invalid_type":
      return [
        {
          code: "WEFT0206",
          place,
          what: `${field} must be ${expectedText(issue.expected)}, not ${written}`,
          fix: fixOf(issue.message, expectedText(issue.expected)),
        },
      ];
    case "invalid_value": {
      const values = issue.values.map(String);
      const meant = at?.kind === "scalar" ? nearest(String(at.value), values) : undefined;
      return [
        {
          code: "WEFT0207",
          place,
          what: `${field} cannot be ${written}`,
          fix: meant === undefined ? `use one of ${values.join(", ")}` : `did you mean \`${meant}\``,
        },
      ];
    }
    case "too_small":
    case "too_big":
      return [{ code: "WEFT0208", place, what: `${field} is out of range: ${written}`, fix: rangeFix(issue) }];
    case "invalid_union":
      return [{ code: "WEFT0206", place, what: `${field} cannot be ${written}`, fix: unionFix(issue) }];
    default:
      return [{ code: "WEFT0209", place, what: `${field} is not right: ${written}`, fix: lowerFirst(issue.message) }];
  }
}

function unionFix(issue: z.core.$ZodIssueInvalidUnion): string {
  const expected = issue.errors.flat().flatMap((inner) => (inner.code === "invalid_type" ? [expectedText(inner.expected)] : []));
  return expected.length === 0 ? "use another value" : `use ${[...new Set(expected)].join(" or ")}`;
}

function rangeFix(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const bound = issue.code === "too_small" ? issue.minimum : issue.maximum;
  const than = issue.code === "too_small" ? "at least" : "at most";
  if (issue.origin === "string") return bound === 1 ? "it must not be empty" : `use ${than} ${bound} characters`;
  if (issue.origin === "array" || issue.origin === "set") return `give ${than} ${bound} ${bound === 1 ? "entry" : "entries"}`;
  return `use ${than} ${bound}`;
}

/** The schema's own words where it has some, else what is expected. */
function fixOf(message: string, expected: string): string {
  return message.startsWith("Invalid input") ? `write ${expected}` : lowerFirst(message);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

const EXPECTED: Readonly<Record<string, string>> = {
  array: "a list",
  object: "a map",
  record: "a map",
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
};

function expectedText(expected: string): string {
  return EXPECTED[expected] ?? expected;
}

const SHOWN_CHARACTERS = 60;

function writtenText(tree: Tree): string {
  if (tree.kind !== "scalar") return tree.kind === "list" ? "a list" : "a map";
  if (tree.value === null) return "empty";
  const text = JSON.stringify(tree.value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
