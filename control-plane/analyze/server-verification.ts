// DestinationRules that encrypt to anybody: TLS without a CA to know the server by (IST0128 for the host, IST0129 for a port).
// Source: Istio analyzers/destinationrule, ca-certificates.go.
import type { FieldPath } from "../model/resource.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";

export function serverVerification({ destinationRules }: AnalysisInput): readonly Finding[] {
  return destinationRules.flatMap((rule) => {
    const { trafficPolicy, host, workloadSelector } = rule.spec;
    const check = (tls: NonNullable<typeof trafficPolicy>["tls"], path: FieldPath, code: string, where: string): readonly Finding[] => {
      if (tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") return [];
      const { caCertificates = "", credentialName = "" } = tls;
      if (caCertificates !== "" || (credentialName !== "" && workloadSelector !== undefined)) return [];
      const what = `mode ${tls.mode} takes any server for ${host}${where}: there is no CA to know it by`;
      return [{ code, severity: "warning", subject: rule, path, what, fix: "set caCertificates" }];
    };
    const ports = trafficPolicy?.portLevelSettings ?? [];
    return [
      ...check(trafficPolicy?.tls, ["spec", "trafficPolicy", "tls"], "IST0128", ""),
      ...ports.flatMap(({ tls, port }, index) =>
        check(tls, ["spec", "trafficPolicy", "portLevelSettings", index, "tls"], "IST0129", ` at port ${port?.number ?? "?"}`),
      ),
    ];
  });
}
