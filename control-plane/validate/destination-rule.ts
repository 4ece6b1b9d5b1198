// A DestinationRule as a whole. Source: Istio ValidateDestinationRule.
import type { DestinationRule, FieldPath } from "../model/resource.ts";
import { checkExportTo } from "./export-to.ts";
import { isDnsLabel, labelsOfFault, wildcardDomainFault } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkTrafficPolicy } from "./traffic-policy.ts";

const SPEC: FieldPath = ["spec"];

/** Everything that a DestinationRule by itself can get wrong. */
export function checkDestinationRule({ spec, namespace }: Pick<DestinationRule, "namespace" | "spec">): readonly Problem[] {
  const host = wildcardDomainFault(spec.host);
  return [
    ...(host === undefined ? [] : [error("WEFT0369", [...SPEC, "host"], host, "name a service, such as reviews or reviews.default.svc.cluster.local")]),
    ...checkTrafficPolicy(spec.trafficPolicy, namespace, [...SPEC, "trafficPolicy"]),
    ...checkSubsets(spec.subsets, namespace),
    ...checkExportTo(spec.exportTo, namespace, [...SPEC, "exportTo"], { selectsWorkloads: spec.workloadSelector !== undefined }),
    ...checkSelector(spec.workloadSelector, [...SPEC, "workloadSelector"]),
  ];
}

function checkSubsets(subsets: DestinationRule["spec"]["subsets"], namespace: string): readonly Problem[] {
  const seen = new Set<string>();
  return subsets.flatMap(({ name, labels, trafficPolicy }, index) => {
    const at = [...SPEC, "subsets", index];
    const problems: Problem[] = [];
    if (seen.has(name)) problems.push(error("WEFT0375", [...at, "name"], `the subset "${name}" stands twice`, "give it another name"));
    else if (!isDnsLabel(name))
      problems.push(
        error(
          "WEFT0375",
          [...at, "name"],
          name === "" ? "the subset has no name" : `"${name}" is not the name of a subset`,
          "use letters, digits and -, at most 63",
        ),
      );
    seen.add(name);
    const fault = labelsOfFault(labels);
    if (fault !== undefined) problems.push(error("WEFT0376", [...at, "labels"], fault, "use the labels of the pods, such as version: v1"));
    return [...problems, ...checkTrafficPolicy(trafficPolicy, namespace, [...at, "trafficPolicy"])];
  });
}

function checkSelector(selector: DestinationRule["spec"]["workloadSelector"], path: FieldPath): readonly Problem[] {
  if (selector === undefined) return [];
  const labels = Object.entries(selector.matchLabels);
  if (labels.length === 0) return [warning("WEFT0377", path, "the workloadSelector selects nothing", "add matchLabels")];
  return labels
    .filter(([key, value]) => key === "" || key.includes("*") || value.includes("*"))
    .map(([key, value]) =>
      error("WEFT0377", [...path, "matchLabels", key], `"${key}: ${value}" is not a label to select by`, "write a key and a value without *"),
    );
}
