// Diagnostics as a person reads them: the finding, the line that it is about, and a caret under the place. Pure.
import { type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import type { Style } from "./style.ts";

/**
 * One diagnostic in full. `source` is the text of its file, or undefined where it cannot be read (any more).
 * ```
 * traffic.yaml:24:19 WEFT0201 error VirtualService default/color: weight is "90%". Fix: write weight: 90.
 *   24 |           weight: 90%
 *      |                   ^
 * ```
 */
export function diagnosticText(diagnostic: Diagnostic, source: string | undefined, style: Style): string {
  const { line, column } = diagnostic.origin;
  const finding = coloured(diagnostic, style);
  const sourceLine = source === undefined ? undefined : shownLine(source.split(/\r?\n/), line - 1);
  if (sourceLine === undefined || sourceLine.trim() === "") return finding;
  const number = String(line).padStart(4);
  // What a terminal would take for a command stands as a dot; a character is one column all the same.
  const shown = sourceLine.replace(/[^\P{Cc}\t]/gu, "·");
  const before = shown.slice(0, column - 1);
  // A tab is as wide as the terminal makes it: the same tab stands before the caret.
  const indent = before.replace(/[^\t]/g, " ");
  const bar = style.dim("|");
  return [finding, `${style.dim(number)} ${bar} ${shown}`, `${" ".repeat(number.length)} ${bar} ${indent}${style.red("^")}`].join("\n");
}

/** A line of a file, or what may be seen of it: of a Secret the keys alone. */
function shownLine(lines: readonly string[], index: number): string | undefined {
  const line = lines[index];
  const isSeparator = (text: string): boolean => /^---(?:\s|$)/.test(text);
  const start = lines.slice(0, index).findLastIndex(isSeparator) + 1;
  const length = lines.slice(index).findIndex((text, offset) => offset > 0 && isSeparator(text));
  const document = lines.slice(start, length < 0 ? undefined : index + length);
  if (line === undefined || !document.some((text) => /\bkind["']?\s*:\s*["']?Secret\b/.test(text))) return line;
  const key = /^[\s-]*[\w.-]+:(?=\s)/.exec(line)?.[0];
  return line.endsWith(":") || /^\s*name:/.test(line) ? line : `${key ?? ""} [redacted]`;
}

/** `2 errors, 1 warning`; `no problems` for none. */
export function countText(diagnostics: readonly Diagnostic[]): string {
  const counts = (["error", "warning", "info"] as const)
    .map((severity) => ({ severity, count: diagnostics.filter((diagnostic) => diagnostic.severity === severity).length }))
    .filter(({ count }) => count > 0)
    .map(({ severity, count }) => `${count} ${severity === "info" ? "note" : severity}${count === 1 ? "" : "s"}`);
  return counts.length === 0 ? "no problems" : counts.join(", ");
}

/** Those of `now` that did not stand before, in order. */
export function newDiagnostics(now: readonly Diagnostic[], before: readonly Diagnostic[]): readonly Diagnostic[] {
  const known = new Set(before.map(formatDiagnostic));
  return now.filter((diagnostic) => !known.has(formatDiagnostic(diagnostic)));
}

function coloured(diagnostic: Diagnostic, style: Style): string {
  const { severity, code, origin } = diagnostic;
  const place = `${origin.file}:${origin.line}:${origin.column}`;
  const head = `${place} ${code} ${severity}`;
  const mark = severity === "error" ? style.red : severity === "warning" ? style.yellow : style.cyan;
  return `${style.bold(place)} ${code} ${mark(severity)}${formatDiagnostic(diagnostic).slice(head.length)}`;
}
