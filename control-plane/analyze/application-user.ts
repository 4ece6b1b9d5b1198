// Workloads that run as the sidecar's own user (IST0144): their traffic would pass the sidecar by. Source: Istio analyzers/deployment, pod.go.
import type { Finding } from "./finding.ts";
import type { AnalysisInput, Pod, PodSpec } from "./input.ts";
import { isControlPlane } from "./selection.ts";

const SIDECAR_USER = 1337;
const OWN_CONTAINERS: ReadonlySet<string> = new Set(["istio-proxy", "istio-operator"]);

export function applicationUser({ pods, deployments }: AnalysisInput): readonly Finding[] {
  const ofPods = pods.filter(({ kind }) => kind === "Pod").flatMap((pod) => check(pod, pod.spec));
  return [...ofPods, ...deployments.flatMap((deployment) => check(deployment, deployment.spec.template.spec))];
}

function check(subject: Pick<Pod, "kind" | "namespace" | "name" | "labels" | "annotations" | "locate">, spec: PodSpec): readonly Finding[] {
  if (isControlPlane(subject)) return [];
  const users = [spec.securityContext, ...spec.containers.filter(({ name }) => !OWN_CONTAINERS.has(name)).map(({ securityContext }) => securityContext)];
  return users
    .filter((context) => context?.runAsUser === SIDECAR_USER)
    .map(
      (): Finding => ({
        code: "IST0144",
        severity: "warning",
        subject,
        path: subject.kind === "Pod" ? ["spec"] : ["spec", "template", "spec"],
        what: `user ${SIDECAR_USER} is the sidecar's`,
        fix: "let runAsUser be another one",
      }),
    );
}
