// Whether several VirtualServices claim one host, which Istio leaves to chance and silence.
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel, type VirtualService } from "../model/resource.ts";
import { gatewaysOf, MESH_GATEWAY } from "./gateways.ts";
import { resolveHostname } from "./hosts.ts";
import type { Mesh } from "./mesh.ts";

/**
 * For the sidecars the first VirtualService of a host, in the order of (namespace, name), is the one that counts; the others get a finding that names both.
 * Through gateways the routes of all apply, one after the other. Two whose exportTo have no namespace in common do not meet.
 */
export function oneVirtualServicePerHost(mesh: Mesh): readonly Diagnostic[] {
  const first = new Map<string, VirtualService[]>();
  const findings: Diagnostic[] = [];
  for (const virtualService of mesh.virtualServices) {
    if (!gatewaysOf(virtualService).includes(MESH_GATEWAY)) continue;
    virtualService.spec.hosts.forEach((written, index) => {
      const hostname = resolveHostname(mesh, written, virtualService.namespace);
      const owners = first.get(hostname) ?? [];
      first.set(hostname, [...owners, virtualService]);
      const owner = owners.find((candidate) => meet(candidate, virtualService));
      if (owner === undefined || owner === virtualService) return;
      findings.push({
        code: "WEFT0406",
        severity: "warning",
        origin: virtualService.locate(["spec", "hosts", index]),
        resource: resourceLabel(virtualService),
        what: `${hostname} has a VirtualService already, ${resourceLabel(owner)} (${owner.origin.file}:${owner.origin.line}): for sidecars that one counts and this one does not`,
        fix: "put the routes of both into one VirtualService",
      });
    });
  }
  return findings;
}

function meet(a: VirtualService, b: VirtualService): boolean {
  const targets = ({ spec, namespace }: VirtualService): readonly string[] =>
    spec.exportTo.length === 0 ? ["*"] : spec.exportTo.map((target) => (target === "." ? namespace : target));
  const [left, right] = [targets(a), targets(b)];
  return left.some((target) => target === "*" || right.includes(target)) || right.includes("*");
}
