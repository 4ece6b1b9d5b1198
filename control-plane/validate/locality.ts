// Locality settings of a load balancer. Source: Istio agent.ValidateLocalityLbSetting, ValidateZoneAwareLbSetting, validateLocalities.
import type { LoadBalancer, LocalityLbSetting } from "../model/destination-rule.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

const TOPOLOGY_LABELS: ReadonlySet<string> = new Set(["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"]);

/** `localityLbSetting`, of a rule or of the mesh. */
export function checkLocality(setting: LocalityLbSetting | undefined, path: FieldPath): readonly Problem[] {
  if (setting === undefined) return [];
  const { distribute, failover, failoverPriority } = setting;
  if (distribute.length > 0 && failover.length > 0) {
    return [error("WEFT0370", path, "distribute and failover cannot be used together", "keep one: distribute gives shares, failover an order")];
  }
  const topologyLabel = failover.length > 0 ? failoverPriority.find((label) => TOPOLOGY_LABELS.has(label)) : undefined;
  if (topologyLabel !== undefined) {
    return [
      error(
        "WEFT0370",
        [...path, "failoverPriority"],
        `failover and the label ${topologyLabel} in failoverPriority contradict each other`,
        "remove the label, or failover",
      ),
    ];
  }
  return [...checkDistribute(distribute, [...path, "distribute"]), ...checkFailover(failover, [...path, "failover"])];
}

/** `zoneAwareLbSetting`: region and zone are ordered by Envoy itself. */
export function checkZoneAware(setting: LoadBalancer["zoneAwareLbSetting"], path: FieldPath): readonly Problem[] {
  if (setting === undefined) return [];
  const labels = setting.failoverPriority.flatMap((label, index) =>
    TOPOLOGY_LABELS.has(label)
      ? [
          error(
            "WEFT0371",
            [...path, "failoverPriority", index],
            `zone awareness orders by ${label} itself`,
            "remove the label; use failover for the order of regions",
          ),
        ]
      : [],
  );
  return [...labels, ...checkFailover(setting.failover, [...path, "failover"])];
}

function checkFailover(failover: LocalityLbSetting["failover"], path: FieldPath): readonly Problem[] {
  return failover.flatMap(({ from, to }, index) => {
    const at = [...path, index];
    const problems: Problem[] = [];
    if (from === to) problems.push(error("WEFT0372", at, `failover from ${from} leads to itself`, "name another region in `to`"));
    if (from.includes("/") || to.includes("/"))
      problems.push(error("WEFT0372", at, "failover is between regions, without zones", "write the region alone; zones of a region come first anyway"));
    if (from.includes("*") || to.includes("*")) problems.push(error("WEFT0372", at, "failover takes no wildcard", "name the regions"));
    return problems;
  });
}

/** The shares of each source add up to 100, and no two entries speak of one place. */
function checkDistribute(distribute: LocalityLbSetting["distribute"], path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [index, { to }] of distribute.entries()) {
    const at = [...path, index, "to"];
    const shares = Object.entries(to);
    const bad = shares.find(([, share]) => share < 1 || share > 100);
    const total = shares.reduce((sum, [, share]) => sum + share, 0);
    if (bad !== undefined)
      problems.push(error("WEFT0373", [...at, bad[0]], `a share is from 1 to 100, not ${bad[1]}`, "leave out localities that get nothing"));
    else if (total !== 100) problems.push(error("WEFT0373", at, `the shares add up to ${total}`, "make them add up to 100"));
    problems.push(...checkLocalities(Object.keys(to), (locality) => [...at, locality]));
  }
  const sources = distribute.map(({ from }) => from);
  return [...problems, ...checkLocalities(sources, (_, index) => [...path, index, "from"])];
}

/** Each `region[/zone[/subzone]]` or a beginning of it followed by `*`, none inside another. */
function checkLocalities(localities: readonly string[], pathOf: (locality: string, index: number) => FieldPath): readonly Problem[] {
  const seen: (readonly string[])[] = [];
  for (const [index, locality] of localities.entries()) {
    const wildcards = locality.split("*").length - 1;
    const at = pathOf(locality, index);
    if (wildcards > 1 || (wildcards === 1 && !locality.endsWith("*"))) {
      return [error("WEFT0374", at, `"${locality}" has a wildcard that is not its end`, "write region/*, or region/zone/*")];
    }
    const parts = splitLocality(locality);
    if (parts.includes(""))
      return [error("WEFT0374", at, `"${locality}" has an empty region, zone or subzone`, "write region, region/zone or region/zone/subzone")];
    const other = seen.find((former) => overlaps(former, parts));
    if (other !== undefined) return [error("WEFT0374", at, `"${locality}" overlaps with "${other.join("/")}" before it`, "name each place once")];
    seen.push(parts);
  }
  return [];
}

/** At most three parts: a subzone may contain slashes. */
function splitLocality(locality: string): readonly string[] {
  const [region = "", zone, ...subzone] = locality.split("/");
  return zone === undefined ? [region] : subzone.length === 0 ? [region, zone] : [region, zone, subzone.join("/")];
}

/** Whether a later locality lies inside a former one or holds it: Istio's rule, in which `*` speaks of everything below it. */
function overlaps(former: readonly string[], later: readonly string[]): boolean {
  if (former[0] === "*") return true;
  if (former[0] !== later[0]) return false;
  if (former.length === 1 || later.length === 1 || former[1] === "*") return true;
  if (former[1] !== later[1]) return false;
  return later.length === 2 || former.length === 2 || former[2] === "*" || former[2] === later[2];
}
