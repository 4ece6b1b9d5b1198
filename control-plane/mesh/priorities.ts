// The endpoints of a destination as one place sees them: grouped by locality, with priorities and weights, and the name of that view.
import { compareText } from "../model/diagnostic.ts";
import { type Locality, localityText } from "./instance.ts";
import { applyIstioLocality, compact, type LocalityGroup, priorityLabel, type Viewpoint } from "./istio-locality.ts";
import type { LocalityPlan } from "./locality.ts";
import type { Endpoint } from "./mesh.ts";

/** An endpoint with what the order of priorities looks at. */
export interface PlacedEndpoint extends Endpoint {
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * What a view depends on, as text: equal texts, equal views of the same endpoints. `""` where all callers see the same. Names the EDS resource, so that it
 * is encoded once per place and not per proxy.
 */
export function viewName(defaults: "weft" | "istio", plan: LocalityPlan, from: Viewpoint): string {
  const place = localityText(defaults === "istio" || plan.kind === "weights" ? from.locality : { ...from.locality, subzone: "" });
  switch (plan.kind) {
    case "alike":
      return "";
    case "distribute":
    case "weights":
      return `from=${place}`;
    case "zone-aware":
      if (!plan.priorities) return "";
      return withLabels(place, plan.failoverPriority, plan.failover.length > 0, from);
    case "priorities":
      return withLabels(place, plan.failoverPriority, plan.failover.length > 0, from);
  }
}

function withLabels(place: string, failoverPriority: readonly string[], byRegionToo: boolean, from: Viewpoint): string {
  if (failoverPriority.length === 0) return `from=${place}`;
  const labels = withTopology(from.labels, from.locality);
  const compared = failoverPriority.map((entry) => {
    const { label, value } = priorityLabel(entry);
    return `${label}=${value ?? labels[label] ?? ""}`;
  });
  return [...(byRegionToo ? [`from=${place}`] : []), `labels=${compared.join(",")}`].join(";");
}

/** Groups sorted by priority, then locality, without empty ones; priorities count from 0 without gaps. */
export function orderEndpoints(
  defaults: "weft" | "istio",
  plan: LocalityPlan,
  from: Viewpoint,
  endpoints: readonly Endpoint[],
): readonly LocalityGroup<PlacedEndpoint>[] {
  const groups = order(defaults, plan, { ...from, labels: withTopology(from.labels, from.locality) }, groupByLocality(endpoints));
  const filled = compact(groups.filter((group) => group.endpoints.length > 0));
  return [...filled].sort((a, b) => a.priority - b.priority || compareText(localityText(a.locality), localityText(b.locality)));
}

function order(
  defaults: "weft" | "istio",
  plan: LocalityPlan,
  from: Viewpoint,
  groups: readonly LocalityGroup<PlacedEndpoint>[],
): readonly LocalityGroup<PlacedEndpoint>[] {
  switch (plan.kind) {
    case "alike":
      return groups;
    case "weights": {
      const weighted = applyIstioLocality(groups, from, { distribute: plan.distribute, failover: [], failoverPriority: [] }, plan.failover);
      if (!plan.failover) return weighted;
      // The places that are written have the first priority; all others stand by, where Istio would drop them.
      return weighted.map((group, index) => (group.endpoints.length > 0 ? group : { ...group, priority: 1, endpoints: groups[index]?.endpoints ?? [] }));
    }
    case "distribute":
      return nearestFirst(groups, from.locality, []);
    case "zone-aware":
      return plan.priorities ? byPriorities("istio", plan, from, groups) : groups;
    case "priorities":
      return byPriorities(defaults, plan, from, groups);
  }
}

function byPriorities(
  defaults: "weft" | "istio",
  { failover, failoverPriority }: Pick<Extract<LocalityPlan, { kind: "priorities" }>, "failover" | "failoverPriority">,
  from: Viewpoint,
  groups: readonly LocalityGroup<PlacedEndpoint>[],
): readonly LocalityGroup<PlacedEndpoint>[] {
  if (defaults === "weft" && failoverPriority.length === 0) return nearestFirst(groups, from.locality, failover);
  return applyIstioLocality(groups, from, { distribute: [], failover, failoverPriority: [...failoverPriority] }, true);
}

/** Own zone, own region, the region that `failover` names, the rest. Subzones are alike: Envoy would leave a rack with one endpoint at its first failure. */
function nearestFirst(
  groups: readonly LocalityGroup<PlacedEndpoint>[],
  from: Locality,
  failover: readonly { readonly from: string; readonly to: string }[],
): readonly LocalityGroup<PlacedEndpoint>[] {
  const named = failover.find((setting) => setting.from === from.region)?.to;
  return groups.map((group) => {
    const { region, zone } = group.locality;
    const priority = region === from.region ? (zone === from.zone ? 0 : 1) : region === named ? 2 : 3;
    return { ...group, priority };
  });
}

function groupByLocality(endpoints: readonly Endpoint[]): readonly LocalityGroup<PlacedEndpoint>[] {
  const byPlace = new Map<string, PlacedEndpoint[]>();
  for (const endpoint of endpoints) {
    const place = localityText(endpoint.instance.locality);
    const placed = placedEndpoint(endpoint);
    const group = byPlace.get(place);
    if (group === undefined) byPlace.set(place, [placed]);
    else group.push(placed);
  }
  const groups = [...byPlace].sort(([a], [b]) => compareText(a, b));
  return groups.map(([, members]) => ({
    locality: members[0]?.instance.locality ?? NOWHERE,
    priority: 0,
    weight: members.reduce((sum, { weight }) => sum + weight, 0),
    endpoints: members,
  }));
}

const PLACED = new WeakMap<Endpoint, PlacedEndpoint>();

/** The same object for an endpoint wherever it is placed: what is made of it can be kept. */
function placedEndpoint(endpoint: Endpoint): PlacedEndpoint {
  const { labels, locality } = endpoint.instance;
  const placed = PLACED.get(endpoint) ?? { ...endpoint, labels: withTopology(labels, locality) };
  PLACED.set(endpoint, placed);
  return placed;
}

const NOWHERE: Locality = { region: "", zone: "", subzone: "" };

/** The labels that `failoverPriority` may name for places; Istio too takes them from the locality. */
function withTopology(labels: Readonly<Record<string, string>>, locality: Locality): Readonly<Record<string, string>> {
  return {
    ...labels,
    "topology.kubernetes.io/region": locality.region,
    "topology.kubernetes.io/zone": locality.zone,
    "topology.istio.io/subzone": locality.subzone,
  };
}
