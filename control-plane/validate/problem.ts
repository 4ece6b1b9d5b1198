// What a rule finds: a place inside the resource, the fact, the next step. Becomes a Diagnostic once the resource is known.
import type { Diagnostic, Severity } from "../model/diagnostic.ts";
import { type AnyResource, type FieldPath, resourceLabel } from "../model/resource.ts";

export interface Problem {
  readonly code: string;
  readonly severity: Severity;
  /** From the root of the resource: `["spec", "http", 0]`. */
  readonly path: FieldPath;
  readonly what: string;
  readonly fix: string;
}

/** The resource cannot serve as written. */
export function error(code: string, path: FieldPath, what: string, fix: string): Problem {
  return { code, severity: "error", path, what, fix };
}

/** It serves, but not as its author may think. */
export function warning(code: string, path: FieldPath, what: string, fix: string): Problem {
  return { code, severity: "warning", path, what, fix };
}

/** The problem with its place in the file. */
export function diagnosticOf(resource: AnyResource, { code, severity, path, what, fix }: Problem): Diagnostic {
  return { code, severity, origin: resource.locate(path), resource: resourceLabel(resource), what, fix };
}
