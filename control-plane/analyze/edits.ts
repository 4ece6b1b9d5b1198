// Mechanical fixes: the text of a file and what is to be changed in it come in, the changed text goes out. Lines stay lines: none is added or taken away.
import type { Diagnostic, Edit } from "../model/diagnostic.ts";

type Editing = Pick<Diagnostic, "origin" | "edit">;

/**
 * The text with the edits of these diagnostics. An edit whose place does not read as expected is left out; so are all but the names and values while
 * there are any, since a map that becomes a list moves what is in it.
 */
export function edited(text: string, diagnostics: readonly Editing[]): string {
  const lines = text.split("\n");
  const edits = diagnostics.flatMap(({ origin, edit }) => (edit === undefined ? [] : [{ line: origin.line - 1, column: origin.column - 1, edit }]));
  const small = edits.filter(({ edit }) => edit.kind !== "list");
  const now = small.length > 0 ? small : edits.slice(0, 1);
  // From right to left, so that a change on a line moves none that is still to come.
  for (const { line, column, edit } of now.sort((a, b) => b.column - a.column)) {
    if (edit.kind === "list") indentAsItem(lines, line, column);
    else lines[line] = withEdit(lines[line] ?? "", column, edit);
  }
  return lines.join("\n");
}

function withEdit(line: string, column: number, { kind, from, to }: Edit): string {
  const before = line.slice(0, column);
  const rest = line.slice(column);
  const offset = kind === "value" ? (/^(?:-\s+|(?:"[^"]*"|'[^']*'|[^\s"'{[][^:]*):\s+)/.exec(rest)?.[0].length ?? 0) : 0;
  const at = rest.slice(offset);
  const quote = at.startsWith('"') || at.startsWith("'") ? at.charAt(0) : "";
  const written = `${quote}${from}${quote}`;
  const after = at.slice(written.length);
  const ends = kind === "key" ? /^\s*:/.test(after) : /^\s*(?:#.*|[,\]}].*)?\r?$/.test(after);
  return at.startsWith(written) && ends ? `${before}${rest.slice(0, offset)}${to}${after}` : line;
}

/** The block under the key at `column` of line `index`: its first field gets a dash, the others move under it. */
function indentAsItem(lines: string[], index: number, column: number): void {
  const first = lines.findIndex((line, at) => at > index && isContent(line));
  const indent = indentOf(lines[first] ?? "");
  if (first < 0 || indent <= column || !/:\s*(?:#.*)?\r?$/.test((lines[index] ?? "").slice(column))) return;
  for (let at = first; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    if (isContent(line) && indentOf(line) < indent) return;
    if (line.trim() !== "") lines[at] = `${line.slice(0, indent)}${at === first ? "- " : "  "}${line.slice(indent)}`;
  }
}

function isContent(line: string): boolean {
  return line.trim() !== "" && !line.trim().startsWith("#");
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
