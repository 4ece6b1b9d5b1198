// Whether Sidecars leave no doubt which one holds for a workload.
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel } from "../model/resource.ts";
import type { Mesh } from "./mesh.ts";
import { carries } from "./selection.ts";

/** Istio calls it undefined which of several Sidecars holds; here it is the first. Source: Istio reference, Sidecar; IST0110 and IST0111. */
export function oneSidecarPerWorkload(mesh: Mesh): readonly Diagnostic[] {
  return mesh.sidecars.flatMap((sidecar, index): readonly Diagnostic[] => {
    const earlier = mesh.sidecars.slice(0, index).filter(({ namespace }) => namespace === sidecar.namespace);
    const { workloadSelector } = sidecar.spec;
    const owner = earlier.find(({ spec }) =>
      workloadSelector === undefined
        ? spec.workloadSelector === undefined
        : shared(mesh, sidecar.namespace, spec.workloadSelector?.labels, workloadSelector.labels),
    );
    if (owner === undefined) return [];
    const where = `${resourceLabel(owner)} (${owner.origin.file}:${owner.origin.line})`;
    const whom = workloadSelector === undefined ? `namespace ${sidecar.namespace} has` : "workloads that this one selects have";
    return [
      {
        code: "WEFT0423",
        severity: "warning",
        origin: sidecar.locate(["spec", "workloadSelector"]),
        resource: resourceLabel(sidecar),
        what: `${whom} a Sidecar already, ${where}: that one counts and this one does not`,
        fix: workloadSelector === undefined ? "give this one a workloadSelector, or put the two into one" : "let their workloadSelectors tell workloads apart",
      },
    ];
  });
}

type Labels = Readonly<Record<string, string>>;

/** Whether something that runs is selected by both. */
function shared(mesh: Mesh, namespace: string, a: Labels | undefined, b: Labels): boolean {
  return a !== undefined && mesh.instances.some((instance) => instance.namespace === namespace && carries(instance.labels, a) && carries(instance.labels, b));
}
