// An Istio that may be made to fetch any address: RequestAuthentications without BLOCKED_CIDRS_IN_JWKS_URIS (IST0175). Source: Istio analyzers/authn.
import type { Finding } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";

const VARIABLE = "BLOCKED_CIDRS_IN_JWKS_URIS";

export function blockedAddresses({ requestAuthentications, deployments }: AnalysisInput): readonly Finding[] {
  if (requestAuthentications.length === 0) return [];
  return deployments
    .filter(({ labels }) => labels.app === "istiod")
    .filter(({ spec }) => !spec.template.spec.containers.some(({ env }) => env.some(({ name, value = "" }) => name === VARIABLE && value !== "")))
    .map((subject): Finding => {
      const count = requestAuthentications.length;
      const what = `${count} RequestAuthentication${count === 1 ? "" : "s"} may let istiod fetch any address`;
      return {
        code: "IST0175",
        severity: "warning",
        subject,
        path: ["spec", "template", "spec"],
        what,
        fix: `set ${VARIABLE} to the address blocks that it must not fetch from`,
      };
    });
}
