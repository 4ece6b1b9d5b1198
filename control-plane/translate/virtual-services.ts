// Which VirtualService speaks for a host at the sidecars, and which bind to a gateway.
import { gatewaysOf, MESH_GATEWAY } from "../mesh/gateways.ts";
import { hostMatches, isExported, resolveHostname } from "../mesh/hosts.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { compareText } from "../model/diagnostic.ts";
import type { VirtualService } from "../model/resource.ts";

/** VirtualServices by what they bind to. */
export interface VirtualServiceIndex {
  /** The one that speaks for a host in a namespace's sidecars: the most specific host, then the first in order; the others are ignored, as in Istio. */
  readonly forHost: (hostname: string, namespace: string) => VirtualService | undefined;
  /** Hosts that VirtualServices for sidecars name, wildcards included, in byte order. */
  readonly hostnames: readonly string[];
  /** By gateway key, in order. */
  readonly ofGateway: (key: string) => readonly VirtualService[];
}

/** Reads the mesh's VirtualServices once. */
export function indexVirtualServices(mesh: Mesh): VirtualServiceIndex {
  const byHost = new Map<string, VirtualService[]>();
  const byGateway = new Map<string, VirtualService[]>();
  for (const virtualService of mesh.virtualServices) {
    if (virtualService.spec.http.length === 0) continue;
    for (const gateway of gatewaysOf(virtualService)) {
      if (gateway !== MESH_GATEWAY) append(byGateway, gateway, virtualService);
      else for (const host of virtualService.spec.hosts) append(byHost, resolveHostname(mesh, host, virtualService.namespace), virtualService);
    }
  }
  const wildcards = [...byHost.keys()].filter((host) => host.startsWith("*")).sort((a, b) => b.length - a.length || compareText(a, b));
  return {
    forHost: (hostname, namespace) => {
      for (const host of [hostname, ...wildcards.filter((pattern) => pattern !== hostname && hostMatches(pattern, hostname))]) {
        const found = byHost.get(host)?.find((virtualService) => isExported(virtualService.spec.exportTo, virtualService.namespace, namespace));
        if (found !== undefined) return found;
      }
      return undefined;
    },
    hostnames: [...byHost.keys()].sort(compareText),
    ofGateway: (key) => byGateway.get(key) ?? [],
  };
}

function append(groups: Map<string, VirtualService[]>, key: string, virtualService: VirtualService): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [virtualService]);
  else if (!group.includes(virtualService)) group.push(virtualService);
}
