// Fields that are deprecated or ignored (IST0002), and CustomResourceDefinitions of kinds that are gone. Source: Istio analyzers/deprecation.
import type { Finding } from "./finding.ts";
import { type AnalysisInput, documentsOf, fieldOf, type Subject } from "./input.ts";

/** Kinds that former versions of Istio had. */
const GONE: readonly (readonly [group: string, kind: string])[] = [
  ["rbac.istio.io", "ClusterRbacConfig"],
  ["rbac.istio.io", "RbacConfig"],
  ["rbac.istio.io", "ServiceRole"],
  ["rbac.istio.io", "ServiceRoleBinding"],
];

export function deprecatedFields(input: AnalysisInput): readonly Finding[] {
  const deprecated = (subject: Subject, path: Finding["path"], what: string, fix: string): Finding => ({
    code: "IST0002",
    severity: "warning",
    subject,
    path,
    what,
    fix,
  });
  return [
    ...input.virtualServices.flatMap((service) =>
      service.spec.http.flatMap(({ fault }, index) => {
        const percent = fault?.delay?.percent ?? 0;
        if (percent <= 0) return [];
        const path = ["spec", "http", index, "fault", "delay", "percent"];
        return [deprecated(service, path, "fault.delay.percent is deprecated", `write \`percentage: {value: ${percent}}\``)];
      }),
    ),
    ...input.sidecars
      .filter(({ spec }) => spec.outboundTrafficPolicy?.egressProxy !== undefined)
      .map((sidecar) => deprecated(sidecar, ["spec", "outboundTrafficPolicy", "egressProxy"], "outboundTrafficPolicy.egressProxy is ignored", "remove it")),
    ...documentsOf(input, "apiextensions.k8s.io", "CustomResourceDefinition").flatMap((definition) => {
      const spec = fieldOf(definition.content, "spec");
      const group = fieldOf(spec, "group");
      const kind = fieldOf(fieldOf(spec, "names"), "kind");
      const isGone = GONE.some(([goneGroup, goneKind]) => goneGroup === group && goneKind === kind);
      return isGone ? [deprecated(definition, ["spec"], `Istio has no kind ${kind} of ${group} any more`, "remove the definition and its resources")] : [];
    }),
  ];
}
