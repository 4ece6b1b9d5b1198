// Zones as traffic is divided over them: who calls from which zone, and what serves there.
import { destinationsOf, gatewaysOf, gatewaysServedBy } from "./gateways.ts";
import { isExported, resolveHostname, serviceExportTo } from "./hosts.ts";
import type { Locality, Proxy } from "./instance.ts";
import type { Endpoint, Host, Mesh } from "./mesh.ts";
import type { ZoneLoad } from "./zone-split.ts";

/**
 * The name of a zone in cluster names and shares: its own where it carries its region, as cloud zones do (`ap-northeast-2a`), else `region/zone`, since
 * several regions may call a zone alike. `""` where nothing is known.
 */
export function zoneName({ region, zone }: Locality): string {
  return region === "" || (zone !== region && zone.startsWith(region)) ? zone : `${region}/${zone}`;
}

/**
 * Callers and endpoints of a destination per zone. Callers are ready instances with a sidecar that may call the host, and gateway proxies that a
 * VirtualService leads to it; each counts one. The host's own endpoints do not count as its callers: a service seldom calls itself, and in the common
 * case of one copy per zone counting them would hide every imbalance. Taken from the source, never from connected streams.
 */
export function zoneLoads(mesh: Mesh, host: Host, endpoints: readonly Endpoint[]): readonly ZoneLoad[] {
  const loads = new Map<string, { zone: string; region: string; demand: number; capacity: number }>();
  const at = (locality: Locality) => {
    const zone = zoneName(locality);
    const known = loads.get(zone) ?? { zone, region: locality.region, demand: 0, capacity: 0 };
    loads.set(zone, known);
    return known;
  };
  for (const { instance } of endpoints) at(instance.locality).capacity++;
  for (const locality of callersOf(mesh, host)) at(locality).demand++;
  return [...loads.values()];
}

function callersOf(mesh: Mesh, host: Host): readonly Locality[] {
  const own = new Set([...host.endpoints.values()].flat().map(({ instance }) => instance));
  const exportTo = serviceExportTo(host.service.annotations);
  const silent = workloadsWithoutListener(mesh, host.hostname);
  const instances = mesh.instances.filter(
    (instance) =>
      instance.ready &&
      instance.hasSidecar &&
      !own.has(instance) &&
      isExported(exportTo, host.namespace, instance.namespace) &&
      !silent.has(`${instance.namespace}/${instance.workload}`),
  );
  const gateways = mesh.proxies.filter((proxy) => proxy.kind === "gateway" && leadsTo(mesh, proxy, host.hostname));
  return [...instances, ...gateways].map(({ locality }) => locality);
}

/** Workloads whose sidecars listen for other services but not for this one: the local file's `calls` leaves it out. */
function workloadsWithoutListener(mesh: Mesh, hostname: string): ReadonlySet<string> {
  const listening = new Map<string, boolean>();
  for (const proxy of mesh.proxies) {
    if (proxy.kind !== "sidecar" || proxy.outbound.length === 0) continue;
    const key = `${proxy.namespace}/${proxy.workload}`;
    listening.set(key, (listening.get(key) ?? false) || proxy.outbound.some((listener) => listener.hostname === hostname));
  }
  return new Set([...listening].filter(([, listens]) => !listens).map(([key]) => key));
}

function leadsTo(mesh: Mesh, proxy: Proxy, hostname: string): boolean {
  const served = gatewaysServedBy(mesh, proxy);
  return mesh.virtualServices.some(
    (virtualService) =>
      gatewaysOf(virtualService).some((gateway) => served.has(gateway)) &&
      destinationsOf(virtualService).some(({ destination }) => resolveHostname(mesh, destination.host, virtualService.namespace) === hostname),
  );
}
