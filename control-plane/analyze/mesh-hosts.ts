// VirtualServices that route one host on the mesh (IST0109): Istio takes the oldest and drops the others.
// Source: Istio analyzers/virtualservice, conflictingmeshgatewayhosts.go.
import type { VirtualService } from "../model/resource.ts";
import { hostsOverlap } from "../validate/names.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";
import { exportScopes, qualifiedHost } from "./service-hosts.ts";

interface Claim {
  readonly service: VirtualService;
  readonly host: string;
  readonly index: number;
  readonly scopes: readonly string[];
}

export function meshHosts({ virtualServices }: AnalysisInput): readonly Finding[] {
  const claims = virtualServices
    .filter(({ spec }) => spec.gateways.length === 0 || spec.gateways.includes("mesh"))
    .flatMap((service) =>
      service.spec.hosts.map(
        (host, index): Claim => ({
          service,
          host: qualifiedHost(host, service.namespace),
          index,
          scopes: exportScopes(service.spec.exportTo, service.namespace),
        }),
      ),
    );
  const reported = new Set<VirtualService>();
  return claims.flatMap((claim): readonly Finding[] => {
    const rivals = claims.filter((other) => other.service !== claim.service && conflict(claim, other));
    if (rivals.length === 0 || reported.has(claim.service)) return [];
    reported.add(claim.service);
    const names = [...new Set(rivals.map(({ service }) => `${service.namespace}/${service.name}`))].sort().join(", ");
    const what = `${names} routes ${claim.host} as well, and Istio takes one of them`;
    return [
      { code: "IST0109", severity: "error", subject: claim.service, path: ["spec", "hosts", claim.index], what, fix: "put the routes into one VirtualService" },
    ];
  });
}

/** Equal hosts that a namespace sees both of; a wildcard against a host only where the one is seen everywhere and the other is not. */
function conflict(a: Claim, b: Claim): boolean {
  const everywhere = [a, b].filter(({ scopes }) => scopes.includes("*")).length;
  if (everywhere === 1) return hostsOverlap(a.host, b.host);
  return a.host === b.host && a.scopes.some((scope) => b.scopes.includes(scope));
}
