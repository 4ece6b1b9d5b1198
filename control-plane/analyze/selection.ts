// Which labels a selector selects, and which pods are in the mesh. Source: Kubernetes' label selectors; Istio's injection labels.
import type { AnalysisInput, Deployment, Pod } from "./input.ts";
import { documentsOf } from "./input.ts";

/** Whether `labels` have all that `selector` asks for; an empty selector selects all. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** `app=a,version=v1`, sorted. */
export function selectorText(selector: Readonly<Record<string, string>>): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

const INJECT = "sidecar.istio.io/inject";

type Candidate = Pick<Pod, "namespace" | "labels" | "annotations"> & { readonly containers: Pod["spec"]["containers"] };

/** Whether a pod has a sidecar, or will get one. */
export function isPodInMesh(input: AnalysisInput, pod: Pod): boolean {
  return isInMesh(input, { ...pod, containers: [...pod.spec.containers, ...pod.spec.initContainers] });
}

/** The same for the pods of a Deployment. */
export function isDeploymentInMesh(input: AnalysisInput, { namespace, spec }: Deployment): boolean {
  return isInMesh(input, { namespace, ...spec.template.metadata, containers: spec.template.spec.containers });
}

function isInMesh(input: AnalysisInput, { namespace, labels, annotations, containers }: Candidate): boolean {
  if (containers.some(({ name, image }) => name === "istio-proxy" && image !== "")) return true;
  const asked = labels[INJECT] ?? annotations[INJECT];
  if (asked !== undefined) return asked === "true";
  if (input.platform === "weft") return true;
  const own = documentsOf(input, "", "Namespace").find(({ name }) => name === namespace);
  return own?.labels["istio-injection"] === "enabled";
}

/** Whether a pod's traffic goes through ztunnel, without a sidecar. */
export function isAmbient(pod: Pick<Pod, "annotations">): boolean {
  return pod.annotations["ambient.istio.io/redirection"] === "enabled";
}

/** Parts of Istio itself. */
export function isControlPlane({ labels }: { readonly labels: Readonly<Record<string, string>> }): boolean {
  return labels.istio !== undefined || labels.release === "istio";
}
