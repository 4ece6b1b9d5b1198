// What a cluster has written into the status of a resource that does not work (IST0171). Source: Istio analyzers/conditions.
import type { Finding } from "./finding.ts";
import { type AnalysisInput, fieldOf } from "./input.ts";

/** Conditions that say so when they are `False`. */
const CONDITIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ["/Service", ["istio.io/WaypointBound"]],
  ["networking.istio.io/ServiceEntry", ["istio.io/WaypointBound"]],
  ["networking.istio.io/WorkloadEntry", ["istio.io/WaypointBound"]],
  ["security.istio.io/AuthorizationPolicy", ["ZtunnelAccepted", "WaypointAccepted"]],
  ["gateway.networking.k8s.io/Gateway", ["Accepted", "Programmed", "ResolvedRefs"]],
  ["gateway.networking.k8s.io/HTTPRoute", ["Accepted", "Programmed", "ResolvedRefs"]],
  ["gateway.networking.k8s.io/GRPCRoute", ["Accepted", "Programmed", "ResolvedRefs"]],
]);

export function conditions({ documents }: AnalysisInput): readonly Finding[] {
  return documents.flatMap((subject) => {
    const watched = CONDITIONS.get(`${subject.group}/${subject.kind}`) ?? [];
    const status = fieldOf(subject.content, "status");
    const parents = listOf(fieldOf(status, "parents"));
    const found = [...listOf(fieldOf(status, "conditions")), ...parents.flatMap((parent) => listOf(fieldOf(parent, "conditions")))];
    return found.flatMap((condition): readonly Finding[] => {
      const type = String(fieldOf(condition, "type") ?? "");
      const reason = String(fieldOf(condition, "reason") ?? "");
      const isPartial = subject.kind === "AuthorizationPolicy" && type === "WaypointAccepted" && reason === "PartiallyInvalid";
      const isNegative = watched.includes(type) && fieldOf(condition, "status") === "False";
      const message = String(fieldOf(condition, "message") ?? "");
      const what = `the cluster says of it: ${type} is ${isPartial ? "partial" : "false"}${reason === "" ? "" : ` (${reason})`}${message === "" ? "" : `: ${message.replace(/\.$/, "")}`}`;
      const finding: Finding = { code: "IST0171", severity: "warning", subject, path: ["status", "conditions"], what, fix: "see what the message names" };
      return [...(isNegative ? [finding] : []), ...(isPartial ? [finding] : [])];
    });
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
