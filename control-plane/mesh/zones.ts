// Zones as traffic is divided over them: who calls from which zone, and what serves there.
import { destinationsOf, gatewaysOf, gatewaysServedBy } from "./gateways.ts";
import { resolveHostname } from "./hosts.ts";
import type { Instance, Locality } from "./instance.ts";
import type { Endpoint, Host, Mesh } from "./mesh.ts";
import { type Scope, scopeOf } from "./scope.ts";
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
  for (const { instance, weight } of endpoints) at(instance.locality).capacity += weight;
  const { groups, groupOf } = callersOf(mesh);
  const calling = groups.filter((group) => group.calls(host));
  for (const { locality, count } of calling) at(locality).demand += count;
  const own = new Set([...host.endpoints.values()].flat().map(({ instance }) => instance));
  const counted = new Set(calling);
  for (const instance of own) {
    const group = groupOf.get(instance);
    if (group !== undefined && counted.has(group)) at(group.locality).demand -= 1;
  }
  // Where only the host's own endpoints could call from, nobody does.
  return [...loads.values()].filter(({ demand, capacity }) => demand > 0 || capacity > 0);
}

/** Callers of one place that call the same hosts. */
interface CallerGroup {
  readonly locality: Locality;
  readonly calls: (host: Host) => boolean;
  count: number;
}

interface Callers {
  readonly groups: readonly CallerGroup[];
  /** The group of each instance that calls at all. */
  readonly groupOf: ReadonlyMap<Instance, CallerGroup>;
}

/** A mesh of ten thousand callers has a handful of groups, so that what each host is called by is a sum over few. */
const CALLERS = new WeakMap<Mesh, Callers>();

function callersOf(mesh: Mesh): Callers {
  const known = CALLERS.get(mesh);
  if (known !== undefined) return known;
  const callers = groupCallers(mesh);
  CALLERS.set(mesh, callers);
  return callers;
}

function groupCallers(mesh: Mesh): Callers {
  const groups = new Map<string, CallerGroup>();
  const groupOf = new Map<Instance, CallerGroup>();
  const listening = listenersByWorkload(mesh);
  const add = (key: string, locality: Locality, calls: CallerGroup["calls"]): CallerGroup => {
    const group = groups.get(key) ?? { locality, calls, count: 0 };
    groups.set(key, group);
    group.count += 1;
    return group;
  };
  for (const instance of mesh.instances) {
    if (!instance.ready || !instance.hasSidecar) continue;
    const { namespace, workload, labels, locality } = instance;
    const scope = scopeOf(mesh, { kind: "sidecar", namespace, labels });
    const listens = listening.get(`${namespace}/${workload}`);
    const key = JSON.stringify([zoneName(locality), locality.region, scope.name, listens === undefined ? "" : workload]);
    groupOf.set(
      instance,
      add(key, locality, (host) => seesHost(scope, host) && (listens === undefined || listens.has(host.hostname))),
    );
  }
  for (const proxy of mesh.proxies) {
    if (proxy.kind !== "gateway") continue;
    const led = destinationsOfGateways(mesh, [...gatewaysServedBy(mesh, proxy).keys()]);
    add(JSON.stringify([zoneName(proxy.locality), proxy.id]), proxy.locality, (host) => led.has(host.hostname));
  }
  return { groups: [...groups.values()], groupOf };
}

function seesHost(scope: Scope, host: Host): boolean {
  return scope.hosts.get(host.hostname) === host;
}

/** Of workloads whose sidecars have listeners for single services: which, since the local file's `calls` may leave some out. */
function listenersByWorkload(mesh: Mesh): ReadonlyMap<string, ReadonlySet<string>> {
  const listening = new Map<string, Set<string>>();
  for (const proxy of mesh.proxies) {
    if (proxy.kind !== "sidecar" || proxy.outbound.length === 0) continue;
    const key = `${proxy.namespace}/${proxy.workload}`;
    const hostnames = listening.get(key) ?? new Set<string>();
    listening.set(key, hostnames);
    for (const { hostname } of proxy.outbound) hostnames.add(hostname);
  }
  return listening;
}

/** What the VirtualServices of some Gateways lead to. Gateway proxies mostly serve the same ones. */
const LED_TO = new WeakMap<Mesh, Map<string, ReadonlySet<string>>>();

function destinationsOfGateways(mesh: Mesh, gateways: readonly string[]): ReadonlySet<string> {
  const known = LED_TO.get(mesh) ?? new Map<string, ReadonlySet<string>>();
  LED_TO.set(mesh, known);
  const key = [...gateways].sort().join(",");
  const found = known.get(key);
  if (found !== undefined) return found;
  const served = new Set(gateways);
  const bound = mesh.virtualServices.filter((virtualService) => gatewaysOf(virtualService).some((gateway) => served.has(gateway)));
  const hostnames = bound.flatMap((virtualService) =>
    destinationsOf(virtualService).map(({ destination }) => resolveHostname(mesh, destination.host, virtualService.namespace)),
  );
  const led = new Set(hostnames);
  known.set(key, led);
  return led;
}
