// exportTo: which namespaces see a resource. Source: Istio validateExportTo.
import type { FieldPath } from "../model/resource.ts";
import { isDnsLabel } from "./names.ts";
import { error, type Problem } from "./problem.ts";

/** `exportTo` of a resource in `namespace`; a rule for selected workloads stays in its namespace. */
export function checkExportTo(exportTo: readonly string[], namespace: string, path: FieldPath, selectsWorkloads = false): readonly Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of exportTo.entries()) {
    const key = entry === "." ? namespace : entry;
    const at = [...path, index];
    if (seen.has(key)) problems.push(error("WEFT0335", at, `"${entry}" stands twice in exportTo`, 'remove one; "." is the own namespace'));
    else if (entry === "~") problems.push(error("WEFT0335", at, "this kind cannot be exported to nobody (~)", 'use "." for the own namespace'));
    else if (entry !== "." && entry !== "*" && !isDnsLabel(entry))
      problems.push(error("WEFT0335", at, `"${entry}" is not a namespace`, 'use ".", "*" or the name of a namespace'));
    seen.add(key);
  }
  if (seen.has("*") && exportTo.length > 1)
    problems.push(error("WEFT0335", path, '"*" exports to every namespace, the others say nothing', 'keep "*" alone, or remove it'));
  if (selectsWorkloads && seen.size > 0 && (seen.size > 1 || !seen.has(namespace))) {
    problems.push(error("WEFT0335", path, "a rule with a workloadSelector holds in its own namespace alone", 'write `exportTo: ["."]`, or remove it'));
  }
  return problems;
}
