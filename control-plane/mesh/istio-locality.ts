// Istio's arithmetic of locality load balancing, to the letter: groups of endpoints in, the same groups with priorities or weights out.
// Source: Istio 1.32, pilot/pkg/networking/core/loadbalancer/loadbalancer.go (ApplyLocalityLoadBalancer).
import type { LocalityLbSetting } from "../model/destination-rule.ts";
import type { Locality } from "./instance.ts";
import { localityMatches } from "./locality.ts";

/** What the arithmetic needs to know of an endpoint. */
export interface WeightedEndpoint {
  readonly labels: Readonly<Record<string, string>>;
  readonly weight: number;
}

/** Endpoints of one place that are treated alike; Envoy's LocalityLbEndpoints. */
export interface LocalityGroup<Member> {
  readonly locality: Locality;
  /** 0 is asked first; Envoy wants priorities without gaps. */
  readonly priority: number;
  /** Share among the groups of a priority, where localities are weighted. */
  readonly weight: number;
  readonly endpoints: readonly Member[];
}

/** The caller: where it is, and the labels that `failoverPriority` compares. */
export interface Viewpoint {
  readonly locality: Locality;
  readonly labels: Readonly<Record<string, string>>;
}

/** Applies a setting. `failsOver`: outlier detection is set; without it Istio leaves priorities alone. */
export function applyIstioLocality<Member extends WeightedEndpoint>(
  groups: readonly LocalityGroup<Member>[],
  from: Viewpoint,
  setting: LocalityLbSetting,
  failsOver: boolean,
): readonly LocalityGroup<Member>[] {
  if (setting.distribute.length > 0) return distribute(groups, from.locality, setting.distribute);
  if (!failsOver) return groups;
  if (setting.failoverPriority.length === 0) return regionFailover(groups, from.locality, setting.failover);
  const byLabels = labelPriorities(groups, from.labels, setting.failoverPriority);
  return setting.failover.length === 0 ? byLabels : regionFailover(byLabels, from.locality, setting.failover);
}

/** Weights as written; a target that covers several groups is divided by their own weights, rounded up. Groups that no target covers lose their endpoints. */
function distribute<Member>(
  groups: readonly LocalityGroup<Member>[],
  from: Locality,
  settings: LocalityLbSetting["distribute"],
): readonly LocalityGroup<Member>[] {
  const setting = settings.find((candidate) => localityMatches(candidate.from, from));
  if (setting === undefined) return groups;
  const weights = new Map<LocalityGroup<Member>, number>();
  for (const [pattern, weight] of Object.entries(setting.to)) {
    const covered = groups.filter((group) => !weights.has(group) && localityMatches(pattern, group.locality));
    const total = covered.reduce((sum, group) => sum + group.weight, 0);
    for (const group of covered) {
      const share = total === 0 ? 0 : Math.ceil((group.weight * weight) / total);
      weights.set(group, share > 0 ? share : group.weight);
    }
  }
  return groups.map((group) => {
    const weight = weights.get(group);
    return weight === undefined ? { ...group, endpoints: [] } : { ...group, weight };
  });
}

/** Where it stands first in `failoverPriority`, Istio compares the labels after it also for endpoints of other networks. */
const NETWORK_LABEL = "topology.istio.io/network";

/** How many levels {@link regionFailover} knows: subzone, zone, region, elsewhere (or the named region), the rest. */
const LEVELS = 5;

/** Near groups first; where the caller's region has a failover region, that one before the rest. Refines priorities that are set already. */
function regionFailover<Member>(
  groups: readonly LocalityGroup<Member>[],
  from: Locality,
  failover: LocalityLbSetting["failover"],
): readonly LocalityGroup<Member>[] {
  const named = failover.find((setting) => setting.from === from.region)?.to;
  return compact(
    groups.map((group) => {
      const distance = localityDistance(from, group.locality);
      const level = distance === 3 && named !== undefined && group.locality.region !== named ? 4 : distance;
      return { ...group, priority: group.priority * LEVELS + level };
    }),
  );
}

/** 0: same subzone, 1: same zone, 2: same region, 3: elsewhere. Source: Istio, util.LbPriority. */
function localityDistance(a: Locality, b: Locality): 0 | 1 | 2 | 3 {
  if (a.region !== b.region) return 3;
  if (a.zone !== b.zone) return 2;
  return a.subzone === b.subzone ? 0 : 1;
}

/**
 * The more labels of the list agree with the caller's, from the first on, the earlier; each group is divided by that. `label=value` compares with that value
 * instead of the caller's own. A caller without labels changes nothing. Source: Istio, applyFailoverPriorityPerLocality.
 */
function labelPriorities<Member extends WeightedEndpoint>(
  groups: readonly LocalityGroup<Member>[],
  labels: Readonly<Record<string, string>>,
  failoverPriority: readonly string[],
): readonly LocalityGroup<Member>[] {
  if (Object.keys(labels).length === 0) return groups;
  const wanted = failoverPriority.map((entry) => {
    const { label, value } = priorityLabel(entry);
    return { label, value: value ?? labels[label] ?? "" };
  });
  // Another network does not make the other labels meaningless: all that is said of one network is said again of the rest, after it.
  const networkFirst = failoverPriority[0] === NETWORK_LABEL;
  const levelOf = (endpoint: Member): number => {
    const agrees = ({ label, value }: { readonly label: string; readonly value: string }): boolean => (endpoint.labels[label] ?? "") === value;
    const elsewhere = networkFirst && wanted[0] !== undefined && !agrees(wanted[0]);
    const differs = wanted.findIndex((condition, index) => !(elsewhere && index === 0) && !agrees(condition));
    return (differs === -1 ? 0 : wanted.length - differs) + (elsewhere ? wanted.length : 0);
  };
  const divided = groups.flatMap((group) => {
    const levels = group.endpoints.map(levelOf);
    return [...new Set(levels)]
      .sort((a, b) => a - b)
      .map((priority) => {
        const endpoints = group.endpoints.filter((_, index) => levels[index] === priority);
        return { ...group, priority, endpoints, weight: endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0) };
      });
  });
  return compact(divided);
}

/** The label of one entry of `failoverPriority`, and the value that it is compared with where the entry says one. */
export function priorityLabel(entry: string): { readonly label: string; readonly value?: string } {
  const [label = "", value, ...more] = entry.split("=");
  return value === undefined || more.length > 0 ? { label } : { label, value };
}

/** Priorities renumbered from 0 without gaps, which Envoy demands. */
export function compact<Group extends { readonly priority: number }>(groups: readonly Group[]): readonly Group[] {
  const used = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }));
}
