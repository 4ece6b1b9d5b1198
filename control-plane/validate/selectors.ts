// What a resource applies to: labels of workloads, or references to resources.
// Source: Istio ValidateAlphaWorkloadSelector, validateWorkloadSelector, validatePolicyTargetReference, validateOneOfSelectorType.
import type { TargetReference, WorkloadSelector } from "../model/policy-target.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem, warning } from "./problem.ts";

const CODE = "WEFT0386";

/** Labels to select by, at `path` the map itself. An empty selector selects every workload, which its author seldom means. */
export function checkSelectorLabels(labels: Readonly<Record<string, string>>, path: FieldPath): readonly Problem[] {
  const entries = Object.entries(labels);
  if (entries.length === 0)
    return [warning(CODE, path, "the selector has no labels, and so selects every workload of the namespace", "add labels, or remove it")];
  return entries
    .filter(([key, value]) => key === "" || key.includes("*") || value.includes("*"))
    .map(([key, value]) => error(CODE, [...path, key], `"${key}: ${value}" is not a label to select by`, "write a key and a value without *"));
}

interface Target {
  readonly selector?: WorkloadSelector | undefined;
  readonly targetRef?: TargetReference | undefined;
  readonly targetRefs: readonly TargetReference[];
}

/** `selector`, `targetRef` and `targetRefs` of a policy. */
export function checkTarget({ selector, targetRef, targetRefs }: Target): readonly Problem[] {
  const set = [selector !== undefined, targetRef !== undefined, targetRefs.length > 0].filter(Boolean);
  return [
    ...(set.length < 2 ? [] : [error(CODE, ["spec"], "a policy has one of selector, targetRef and targetRefs", "keep one of them")]),
    ...(selector === undefined ? [] : checkSelectorLabels(selector.matchLabels, ["spec", "selector", "matchLabels"])),
    ...(targetRef === undefined ? [] : checkReference(targetRef, ["spec", "targetRef"])),
    ...targetRefs.flatMap((reference, index) => checkReference(reference, ["spec", "targetRefs", index])),
  ];
}

/** Kinds that a policy may be for, with their group. */
const TARGETS: ReadonlySet<string> = new Set([
  "/Service",
  "core/Service",
  "networking.istio.io/ServiceEntry",
  "gateway.networking.k8s.io/Gateway",
  "gateway.networking.k8s.io/GatewayClass",
]);

function checkReference({ group, kind, name, namespace }: TargetReference, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  if (name === "") problems.push(error(CODE, path, "the target has no name", "add `name:`"));
  if (namespace !== "") problems.push(error(CODE, [...path, "namespace"], "a policy cannot be for a resource of another namespace", "remove the namespace"));
  if (!TARGETS.has(`${group}/${kind}`)) {
    problems.push(
      error(
        CODE,
        path,
        `a policy cannot be for a ${kind || "resource without a kind"}${group === "" ? "" : ` of ${group}`}`,
        "name a Service, a ServiceEntry or a Gateway API Gateway, or use `selector:`",
      ),
    );
  }
  return problems;
}
