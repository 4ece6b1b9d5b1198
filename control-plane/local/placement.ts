// Where a Deployment's replicas run: zones from its node selector or node affinity, as a cluster's scheduler would read them. Pure.
import type { Locality } from "../mesh/instance.ts";
import type { DeploymentSpec } from "../model/kubernetes.ts";

const ZONE_LABEL = "topology.kubernetes.io/zone";
const REGION_LABEL = "topology.kubernetes.io/region";

/** How many replicas are to run in a zone. */
export interface ZoneShare {
  readonly zone: string;
  readonly replicas: number;
}

/** The zones of a Deployment with its replicas spread evenly, earlier zones first; one empty zone where it names none. */
export function zoneShares(spec: DeploymentSpec): readonly ZoneShare[] {
  const named = labelValues(spec, ZONE_LABEL);
  const zones = named.length === 0 ? [""] : named;
  return zones.map((zone, index) => ({ zone, replicas: Math.floor((spec.replicas + zones.length - 1 - index) / zones.length) }));
}

/** The place of a replica in `zone`: the region as the Deployment names it, else the zone's text without its letter (`ap-northeast-2a`, `us-central1-a`). */
export function localityIn(spec: DeploymentSpec, zone: string): Locality {
  const region = labelValues(spec, REGION_LABEL)[0] ?? zone.replace(/-?[a-z]$/, "");
  return { region, zone, subzone: "" };
}

/** A node selector leaves one value; required affinity (terms are alternatives) leaves those of its `In` expressions. */
function labelValues(spec: DeploymentSpec, label: string): readonly string[] {
  const { nodeSelector, affinity } = spec.template.spec;
  const selected = nodeSelector[label];
  if (selected !== undefined) return [selected];
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const values = terms.flatMap(({ matchExpressions }) =>
    matchExpressions.flatMap(({ key, operator, values }) => (key === label && operator === "In" ? values : [])),
  );
  return [...new Set(values)].sort();
}
