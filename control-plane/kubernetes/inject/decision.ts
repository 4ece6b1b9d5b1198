// Whether a pod gets a proxy, and which: its labels and its namespace's come in. Source: Istio, pkg/kube/inject, injectRequired.
import { annotationsOf, labelsOf, type Pod } from "./pod.ts";
import { STATUS_ANNOTATION } from "./status.ts";

export type InjectionDecision =
  | { readonly kind: "sidecar" }
  | { readonly kind: "gateway" }
  /** `why` is a sentence without a full stop. */
  | { readonly kind: "none"; readonly why: string };

export interface InjectionQuestion {
  readonly namespace: string;
  /** Absent: not known here; the API server has looked at them, or the person who injects a file has decided. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly revision: string;
}

/** Kubernetes' own and Weft's: a sidecar there would depend on what it is needed for. */
const SYSTEM_NAMESPACES: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage", "weft-system"]);
const INJECT = "sidecar.istio.io/inject";
const TEMPLATES = "inject.istio.io/templates";

/** What is to be done with a pod. A pod's own word counts more than its namespace's, a label more than an annotation. */
export function injectionDecision(pod: Pod, { namespace, namespaceLabels, revision }: InjectionQuestion): InjectionDecision {
  if (pod.spec.hostNetwork === true) return none("the pod uses its node's network, whose connections must not be redirected");
  const isGateway = (annotationsOf(pod)[TEMPLATES] ?? "").split(",").some((template) => template.trim() === "gateway");
  if (SYSTEM_NAMESPACES.has(namespace) && !isGateway) return none(`the namespace ${namespace} belongs to the system`);
  if (annotationsOf(pod)[STATUS_ANNOTATION] !== undefined) return none("the pod has a proxy already");
  const written = labelsOf(pod)[INJECT] ?? annotationsOf(pod)[INJECT];
  if (written !== undefined && !isTrue(written)) return none(`the pod says ${INJECT}: ${written}`);
  const asked = askedRevision(labelsOf(pod), namespaceLabels);
  if (asked === "no" && written === undefined) return none("the namespace refuses it");
  if (asked === undefined && written === undefined && namespaceLabels !== undefined) return none("neither the pod nor its namespace asks for it");
  if (asked !== undefined && asked !== "no" && asked !== revision) return none(`the revision ${asked} is asked for, this is ${revision}`);
  return { kind: isGateway ? "gateway" : "sidecar" };
}

function none(why: string): InjectionDecision {
  return { kind: "none", why };
}

/** The revision that is asked for; `no` where the namespace refuses injection; undefined where nothing is said. */
function askedRevision(pod: Readonly<Record<string, string>>, namespace: Readonly<Record<string, string>> = {}): string | undefined {
  const own = revisionLabel(pod);
  if (own !== undefined) return own;
  for (const [label, yes, no] of ENABLING) {
    if (namespace[label] === no) return "no";
    if (namespace[label] === yes) return revisionLabel(namespace) ?? "default";
  }
  return revisionLabel(namespace);
}

const ENABLING = [
  ["weft.mesh/injection", "enabled", "disabled"],
  ["istio-injection", "enabled", "disabled"],
] as const;

function revisionLabel(labels: Readonly<Record<string, string>>): string | undefined {
  return labels["weft.mesh/rev"] ?? labels["istio.io/rev"];
}

/** As YAML 1.1 has it, since people write `yes` and Istio takes it. */
function isTrue(text: string): boolean {
  return ["y", "yes", "true", "on"].includes(text.toLowerCase());
}
