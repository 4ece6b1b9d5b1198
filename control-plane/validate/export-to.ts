// exportTo: which namespaces see a resource. Source: Istio validateExportTo.
import type { FieldPath } from "../model/resource.ts";
import { isDnsLabel } from "./names.ts";
import { error, type Problem } from "./problem.ts";

interface ExportContext {
  /** A rule for selected workloads stays in its namespace. */
  readonly selectsWorkloads?: boolean;
  /** A ServiceEntry may be seen by nobody but its own proxies (`~`). */
  readonly mayBeNobody?: boolean;
}

/** `exportTo` of a resource in `namespace`. */
export function checkExportTo(
  exportTo: readonly string[],
  namespace: string,
  path: FieldPath,
  { selectsWorkloads = false, mayBeNobody = false }: ExportContext = {},
): readonly Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of exportTo.entries()) {
    const key = entry === "." ? namespace : entry;
    const at = [...path, index];
    if (seen.has(key)) problems.push(error("WEFT0335", at, `"${entry}" stands twice in exportTo`, 'remove one; "." is the own namespace'));
    else if (entry === "~" && !mayBeNobody) problems.push(error("WEFT0335", at, "this kind cannot be exported to nobody (~)", 'use "." for the own namespace'));
    else if (entry !== "." && entry !== "*" && entry !== "~" && !isDnsLabel(entry))
      problems.push(error("WEFT0335", at, `"${entry}" is not a namespace`, 'use ".", "*" or the name of a namespace'));
    seen.add(key);
  }
  if (seen.has("*") && exportTo.length > 1)
    problems.push(error("WEFT0335", path, '"*" exports to every namespace, the others say nothing', 'keep "*" alone, or remove it'));
  if (seen.has("~") && mayBeNobody && exportTo.length > 1)
    problems.push(error("WEFT0335", path, '"~" exports to nobody, and the others to somebody', 'keep "~" alone, or remove it'));
  if (selectsWorkloads && seen.size > 0 && (seen.size > 1 || !seen.has(namespace))) {
    problems.push(error("WEFT0335", path, "a rule with a workloadSelector holds in its own namespace alone", 'write `exportTo: ["."]`, or remove it'));
  }
  return problems;
}
