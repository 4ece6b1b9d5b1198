// What Weft tells a user about their files: a value that every stage returns beside its result, never an exception.

/** A place in a file. Lines and columns count from 1; `file` is relative to the folder that was given to the source. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `error`: the resource is set aside. `warning`: it serves, but not as its author may think. `info`: worth knowing. */
export type Severity = "error" | "warning" | "info";

/** A change of one place in a file that leaves no doubt. */
export interface Edit {
  /** `key`: the field's name; `value`: what stands behind it, or behind the dash of an item; `list`: the map under it becomes the only item of a list. */
  readonly kind: "key" | "value" | "list";
  /** As it is written, quotes aside; empty for `list`. */
  readonly from: string;
  /** As it is to be written; empty for `list`. */
  readonly to: string;
}

/** One finding, addressed to the author of a file. `what` states the fact, `fix` the next step; neither ends with a full stop. */
export interface Diagnostic {
  /** `WEFTnnnn`: 01 reading YAML, 02 schema, 03 semantics of one resource, 04 resources together, 05 translation, 06 the local run, 07 refused by Envoy. */
  readonly code: string;
  readonly severity: Severity;
  readonly origin: Origin;
  /** `VirtualService default/reviews`; absent where no resource could be read. */
  readonly resource?: string;
  readonly what: string;
  readonly fix: string;
  /** The fix at `origin`, where it is mechanical: `weft analyze --fix` makes it. */
  readonly edit?: Edit;
}

/** `reviews.yaml:14:9 WEFT0203 error VirtualService default/reviews: all destinations have weight 0. Fix: give at least one a weight above 0.` */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { origin, code, severity, resource, what, fix } = diagnostic;
  const subject = resource === undefined ? "" : ` ${resource}:`;
  return `${origin.file}:${origin.line}:${origin.column} ${code} ${severity}${subject} ${what}. Fix: ${fix}.`;
}

/** Order of a report: by file, line, column, then code. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  return compareText(a.origin.file, b.origin.file) || a.origin.line - b.origin.line || a.origin.column - b.origin.column || compareText(a.code, b.code);
}

/** Byte order of two strings, independent of the machine's locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
