// Sidecars that select nothing (IST0101), the same pod (IST0110), a whole namespace twice (IST0111), or what has no sidecar (IST0167).
// Source: Istio analyzers/sidecar.
import type { Sidecar } from "../model/resource.ts";
import { type Finding, notFound } from "./finding.ts";
import { type AnalysisInput, documentsOf, type Pod } from "./input.ts";
import { isAmbient, selectorText, selects } from "./selection.ts";

export function sidecarSelectors(input: AnalysisInput): readonly Finding[] {
  return [...ofPods(input), ...ofNamespaces(input)];
}

function selectorOf({ spec }: Sidecar): Readonly<Record<string, string>> {
  return spec.workloadSelector?.labels ?? {};
}

function ofPods({ sidecars, pods }: AnalysisInput): readonly Finding[] {
  const selecting = sidecars.filter((sidecar) => Object.keys(selectorOf(sidecar)).length > 0);
  const selected = (sidecar: Sidecar): readonly Pod[] => pods.filter((pod) => pod.namespace === sidecar.namespace && selects(selectorOf(sidecar), pod.labels));
  return selecting.flatMap((sidecar) => {
    const own = selected(sidecar);
    const path = ["spec", "workloadSelector", "labels"];
    if (own.length === 0) {
      const what = `no workload of namespace ${sidecar.namespace} has the labels ${selectorText(selectorOf(sidecar))}`;
      return [notFound(sidecar, path, what, "correct the labels, or start the workload")];
    }
    const ambient = own.some(isAmbient) ? [ineffective(sidecar, path, "the workload that it selects has no sidecar: it is in ambient mode")] : [];
    const conflicts = own
      .filter((pod) => !isAmbient(pod))
      .flatMap((pod): readonly Finding[] => {
        const others = selecting.filter((other) => other !== sidecar && selected(other).includes(pod)).map(({ name }) => name);
        if (others.length === 0) return [];
        const what = `${pod.kind} ${pod.namespace}/${pod.name} is selected by ${others.sort().join(", ")} as well, and one of them counts`;
        return [
          { code: "IST0110", severity: "error", subject: sidecar, path: ["metadata", "name"], what, fix: "let each workload be selected by one Sidecar" },
        ];
      });
    return [...ambient, ...conflicts];
  });
}

function ofNamespaces(input: AnalysisInput): readonly Finding[] {
  const wide = input.sidecars.filter((sidecar) => Object.keys(selectorOf(sidecar)).length === 0);
  return wide.flatMap((sidecar): readonly Finding[] => {
    if (isAmbientNamespace(input, sidecar.namespace))
      return [ineffective(sidecar, ["metadata", "name"], "the namespace has no sidecars: it is in ambient mode")];
    const others = wide.filter((other) => other !== sidecar && other.namespace === sidecar.namespace).map(({ name }) => name);
    if (others.length === 0) return [];
    const what = `${others.sort().join(", ")} is for the whole namespace ${sidecar.namespace} as well, and one of them counts`;
    return [{ code: "IST0111", severity: "error", subject: sidecar, path: ["metadata", "name"], what, fix: "keep one Sidecar without workloadSelector" }];
  });
}

function isAmbientNamespace(input: AnalysisInput, namespace: string): boolean {
  const labels = documentsOf(input, "", "Namespace").find(({ name }) => name === namespace)?.labels ?? {};
  if (labels["istio-injection"] === "enabled" || (labels["istio.io/rev"] ?? "") !== "") return false;
  return labels["istio.io/dataplane-mode"] === "ambient";
}

function ineffective(subject: Sidecar, path: Finding["path"], what: string): Finding {
  return { code: "IST0167", severity: "warning", subject, path, what, fix: "remove the Sidecar, or use sidecars" };
}
