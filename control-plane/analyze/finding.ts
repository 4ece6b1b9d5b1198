// What a rule finds, with Istio's code for it, so that what is written about the code on istio.io holds here too.
import type { Severity } from "../model/diagnostic.ts";
import type { FieldPath } from "../model/resource.ts";
import type { AnalysisInput, Subject } from "./input.ts";

export interface Finding {
  /** `IST0101`. */
  readonly code: string;
  readonly severity: Severity;
  readonly subject: Subject;
  readonly path: FieldPath;
  readonly what: string;
  readonly fix: string;
}

/** One rule: what it finds in all resources together. */
export interface AnalysisRule {
  readonly name: string;
  readonly check: (input: AnalysisInput) => readonly Finding[];
  /** Looks at the pods of gateways, which Weft does not have. */
  readonly needsGatewayPods?: boolean;
  /** Weft's own mesh says the same, and says what it does about it. */
  readonly replacedByMesh?: boolean;
}

/** IST0101: a reference that leads nowhere. */
export function notFound(subject: Subject, path: FieldPath, what: string, fix: string): Finding {
  return { code: "IST0101", severity: "error", subject, path, what, fix };
}
