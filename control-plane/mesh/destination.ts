// A destination as a rule writes it, to what one proxy reaches: the clusters, and the share of each where traffic is divided over zones.
import type { ConsistentHash, TrafficPolicy } from "../model/destination-rule.ts";
import type { Destination } from "../model/virtual-service.ts";
import { resolveHostname } from "./hosts.ts";
import { localityText, type Proxy } from "./instance.ts";
import { interceptEndpoints, isInterceptSubset } from "./intercepts.ts";
import { type LocalityPlan, localityMatches, localityPlan } from "./locality.ts";
import type { Endpoint, Host, MergedRule, Mesh } from "./mesh.ts";
import { destinationRuleFor, policyFor, subsetOf } from "./policy.ts";
import { scopeOf } from "./scope.ts";
import { carries } from "./selection.ts";
import { balancedSplit, quantise, SHARE_UNITS, type ZoneShares } from "./zone-split.ts";
import { zoneLoads, zoneName } from "./zones.ts";

/** One cluster of a destination, with its share of the destination's requests, a whole number above 0. */
interface DestinationEntry {
  readonly cluster: { readonly hostname: string; readonly port: number; readonly subset: string; readonly zone?: string };
  readonly share: number;
}

export interface ResolvedDestination {
  readonly hostname: string;
  readonly port: number;
  /** `""` for the whole host. */
  readonly subset: string;
  /** False: there is no such host, port or subset for this proxy; `mesh.diagnostics` says which. */
  readonly known: boolean;
  /** How many ready endpoints stand behind it, in all zones. */
  readonly endpoints: number;
  /** One without a zone, unless traffic is divided over zones; never empty. */
  readonly entries: readonly [DestinationEntry, ...DestinationEntry[]];
  /** How hosts are chosen inside the destination, where by a hash: the zone is then chosen by the same key. */
  readonly consistentHash?: ConsistentHash;
  /** How connections that are not HTTP are to be passed through the destination, which is a proxy then. */
  readonly tunnel?: NonNullable<TrafficPolicy["tunnel"]>;
}

/** What a destination reaches from a proxy. `calledPort` is the port that the request came to: it stands where the destination names none. */
export function resolveDestination(mesh: Mesh, proxy: Proxy, ruleNamespace: string, destination: Destination, calledPort: number): ResolvedDestination {
  const hostname = resolveHostname(mesh, destination.host, ruleNamespace);
  const subset = destination.subset ?? "";
  const host = scopeOf(mesh, proxy).destination(hostname);
  const port = destinationPort(host, destination, calledPort);
  const rule = destinationRuleFor(mesh, proxy, hostname);
  const resolved = RESOLVED.get(mesh) ?? new Map<string, ResolvedDestination>();
  RESOLVED.set(mesh, resolved);
  const key = [hostname, port, subset, host?.namespace, rule?.namespace, rule?.name, localityText(proxy.locality)].join("\n");
  const known = resolved.get(key) ?? resolve(mesh, proxy, rule, { host, hostname, port, subset });
  resolved.set(key, known);
  return known;
}

/** Many routes lead to one destination, and proxies of one place are led alike. */
const RESOLVED = new WeakMap<Mesh, Map<string, ResolvedDestination>>();

function resolve(
  mesh: Mesh,
  proxy: Proxy,
  rule: MergedRule | undefined,
  { host, hostname, port, subset }: { readonly host: Host | undefined; readonly hostname: string; readonly port: number; readonly subset: string },
): ResolvedDestination {
  const single: DestinationEntry = { cluster: { hostname, port, subset }, share: SHARE_UNITS };
  if (host === undefined || !host.endpoints.has(port) || (subset !== "" && !isInterceptSubset(subset) && subsetOf(rule, subset) === undefined)) {
    return { hostname, port, subset, known: false, endpoints: 0, entries: [single] };
  }
  const policy = policyFor(rule, port, subset);
  const endpoints = endpointsOf(host, rule, port, subset);
  const shares = zoneShares(mesh, proxy, { host, port, subset, rule, endpoints }, localityPlan(mesh.settings, policy));
  const [first, ...others] = shares.map(({ zone, share }): DestinationEntry => ({ cluster: { hostname, port, subset, zone }, share }));
  const consistentHash = policy.loadBalancer?.consistentHash;
  const { tunnel } = policy;
  return {
    hostname,
    port,
    subset,
    known: true,
    endpoints: endpoints.length,
    entries: first === undefined ? [single] : [first, ...others],
    ...(consistentHash === undefined ? {} : { consistentHash }),
    ...(tunnel === undefined ? {} : { tunnel }),
  };
}

/** Source: Istio, route.GetDestinationCluster: the written port, else the only one, else the one that was called. */
function destinationPort(host: Host | undefined, destination: Destination, calledPort: number): number {
  if (destination.port !== undefined) return destination.port.number;
  const [only, ...others] = host?.ports ?? [];
  return only !== undefined && others.length === 0 ? only.number : calledPort;
}

/** Ready endpoints of a host's port, or of a subset of them, which the rule defines. Empty where any is unknown. */
export function endpointsOf(host: Host | undefined, rule: MergedRule | undefined, port: number, subset: string): readonly Endpoint[] {
  const all = host?.endpoints.get(port) ?? [];
  if (subset === "") return all;
  if (isInterceptSubset(subset)) return interceptEndpoints(host, port, subset);
  const labels = subsetOf(rule, subset)?.labels;
  return labels === undefined ? [] : all.filter(({ instance }) => carries(instance.labels, labels));
}

/** The division over zones for callers in the proxy's zone; empty where the priorities of the plain cluster already do what is wanted. */
function zoneShares(mesh: Mesh, proxy: Proxy, target: Target, plan: LocalityPlan): ZoneShares {
  const { endpoints } = target;
  switch (plan.kind) {
    case "distribute":
      return distributedShares(proxy, endpoints, plan.distribute);
    case "priorities": {
      if (!plan.split || zoneName(proxy.locality) === "") return [];
      const shares = splitOf(mesh, target).get(zoneName(proxy.locality)) ?? [];
      return isWhatPrioritiesDo(proxy, endpoints, shares) ? [] : shares;
    }
    case "alike":
    case "weights":
    case "zone-aware":
      return [];
  }
}

/** What traffic is divided over. */
interface Target {
  readonly host: Host;
  readonly port: number;
  readonly subset: string;
  readonly rule: MergedRule | undefined;
  readonly endpoints: readonly Endpoint[];
}

/** Splits depend on the mesh and the target, not on the proxy that asks: each is made once. */
const SPLITS = new WeakMap<Mesh, Map<string, ReadonlyMap<string, ZoneShares>>>();

function splitOf(mesh: Mesh, { host, port, subset, rule, endpoints }: Target): ReadonlyMap<string, ZoneShares> {
  const splits = SPLITS.get(mesh) ?? new Map<string, ReadonlyMap<string, ZoneShares>>();
  SPLITS.set(mesh, splits);
  const key = [host.hostname, host.namespace, port, subset, rule?.namespace, rule?.name].join("\n");
  const known = splits.get(key);
  if (known !== undefined) return known;
  const split = balancedSplit(zoneLoads(mesh, host, endpoints));
  splits.set(key, split);
  return split;
}

/** The first `from` that covers the proxy counts; a target that covers several zones is divided by their endpoints, as in Istio. */
function distributedShares(proxy: Proxy, endpoints: readonly Endpoint[], distribute: Extract<LocalityPlan, { kind: "distribute" }>["distribute"]): ZoneShares {
  const setting = distribute.find(({ from }) => localityMatches(from, proxy.locality));
  if (setting === undefined) return [];
  const amounts = new Map<string, number>();
  const taken = new Set<Endpoint>();
  for (const [pattern, weight] of Object.entries(setting.to)) {
    const covered = endpoints.filter((endpoint) => !taken.has(endpoint) && localityMatches(pattern, endpoint.instance.locality));
    for (const endpoint of covered) {
      taken.add(endpoint);
      const zone = zoneName(endpoint.instance.locality);
      amounts.set(zone, (amounts.get(zone) ?? 0) + weight / covered.length);
    }
  }
  return quantise([...amounts].map(([zone, amount]) => ({ zone, amount })));
}

/**
 * Whether shares are what the plain cluster does by its priorities: all of its own zone, or (nothing there) the endpoints of its region alike, or (nothing
 * there either) all alike. Zone clusters cost memory, so they exist only where they change something.
 */
function isWhatPrioritiesDo(proxy: Proxy, endpoints: readonly Endpoint[], shares: ZoneShares): boolean {
  const inZone = endpoints.filter(({ instance }) => zoneName(instance.locality) === zoneName(proxy.locality));
  const inRegion = endpoints.filter(({ instance }) => instance.locality.region === proxy.locality.region);
  const nearest = [inZone, inRegion, endpoints].find((group) => group.length > 0) ?? [];
  const counts = new Map<string, number>();
  for (const { instance } of nearest) counts.set(zoneName(instance.locality), (counts.get(zoneName(instance.locality)) ?? 0) + 1);
  const plain = quantise([...counts].map(([zone, amount]) => ({ zone, amount })));
  return plain.length === shares.length && plain.every(({ zone, share }, index) => shares[index]?.zone === zone && shares[index]?.share === share);
}
