// Where a node stands: its labels in, a locality out. Source: Kubernetes well-known labels; Istio, topology.istio.io/subzone.
import type { Locality } from "../mesh/instance.ts";
import type { KubernetesObject } from "../source/kubernetes-api.ts";

export const NOWHERE: Locality = { region: "", zone: "", subzone: "" };

/** The older labels count where the current ones are not there, as in Istio. */
export function localityOfNode({ metadata: { labels = {} } }: KubernetesObject): Locality {
  return {
    region: labels["topology.kubernetes.io/region"] ?? labels["failure-domain.beta.kubernetes.io/region"] ?? "",
    zone: labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? "",
    subzone: labels["topology.istio.io/subzone"] ?? "",
  };
}

export function sameLocality(a: Locality, b: Locality): boolean {
  return a.region === b.region && a.zone === b.zone && a.subzone === b.subzone;
}
