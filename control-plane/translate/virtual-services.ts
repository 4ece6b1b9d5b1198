// Which VirtualServices speak for a host at the sidecars, and which bind to a gateway.
import { gatewaysOf, MESH_GATEWAY } from "../mesh/gateways.ts";
import { hostMatches, resolveHostname } from "../mesh/hosts.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { compareText } from "../model/diagnostic.ts";
import type { VirtualService } from "../model/resource.ts";

/** VirtualServices by what they bind to. */
export interface VirtualServiceIndex {
  /** Those that speak for a host at a sidecar, in the mesh's order: those of the most specific host pattern that has any. */
  readonly forHost: (hostname: string, proxy: Proxy) => readonly VirtualService[];
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
    for (const gateway of gatewaysOf(virtualService)) {
      if (gateway !== MESH_GATEWAY) append(byGateway, gateway, virtualService);
      else for (const host of virtualService.spec.hosts) append(byHost, resolveHostname(mesh, host, virtualService.namespace).toLowerCase(), virtualService);
    }
  }
  const wildcards = [...byHost.keys()].filter((host) => host.startsWith("*")).sort((a, b) => b.length - a.length || compareText(a, b));
  return {
    forHost: (hostname, proxy) => {
      const { holds } = scopeOf(mesh, proxy);
      for (const host of [hostname, ...wildcards.filter((pattern) => pattern !== hostname && hostMatches(pattern, hostname))]) {
        const found = (byHost.get(host) ?? []).filter(holds);
        if (found.length > 0) return found;
      }
      return [];
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
