// What a policy asks for where callers and endpoints are in different places. The table of the settings is design.md's; `localityPlan` is its one reader.
import type { ConnectionPool, LocalityLbSetting } from "../model/destination-rule.ts";
import type { MeshConfigSpec } from "../model/mesh-config.ts";
import type { Locality } from "./instance.ts";
import type { EffectivePolicy } from "./policy.ts";

type Failover = LocalityLbSetting["failover"];
type Distribute = LocalityLbSetting["distribute"];

/** How endpoints are ordered by place, and whether traffic is divided over places. */
export type LocalityPlan =
  /** All endpoints alike. */
  | { readonly kind: "alike" }
  /** Near endpoints first; `split`: and the traffic of a zone is divided where capacity is uneven. */
  | { readonly kind: "priorities"; readonly split: boolean; readonly failover: Failover; readonly failoverPriority: readonly string[] }
  /** The split as written: one weighted entry of the route per zone, each failing over by itself. */
  | { readonly kind: "distribute"; readonly distribute: Distribute }
  /** The split as written, by weights inside one cluster; `failover`: other places take over when all of those written are down. */
  | { readonly kind: "weights"; readonly distribute: Distribute; readonly failover: boolean }
  /** Envoy's own zone-aware policy, over Istio's priorities where `priorities`. */
  | {
      readonly kind: "zone-aware";
      readonly minClusterSize: number;
      readonly priorities: boolean;
      readonly failover: Failover;
      readonly failoverPriority: readonly string[];
    };

/** Istio's default for `zoneAwareLbSetting.minClusterSize`. */
const ISTIO_MIN_CLUSTER_SIZE = 6;

/** The plan of one effective policy. */
export function localityPlan(settings: MeshConfigSpec, policy: EffectivePolicy): LocalityPlan {
  return settings.defaults === "istio" ? istioPlan(settings, policy) : weftPlan(settings, policy);
}

function weftPlan(settings: MeshConfigSpec, policy: EffectivePolicy): LocalityPlan {
  const { localityLbSetting, zoneAwareLbSetting } = policy.loadBalancer ?? {};
  // Clusters cannot share limits: divided over zone clusters, each would have the whole limit.
  const limited = hasLimits(policy.connectionPool);
  if (zoneAwareLbSetting !== undefined) {
    const { failover, failoverPriority } = zoneAwareLbSetting;
    if (zoneAwareLbSetting.enabled === false) return { kind: "alike" };
    return { kind: "priorities", split: !limited && failoverPriority.length === 0, failover, failoverPriority };
  }
  const setting = localityLbSetting ?? settings.localityLbSetting;
  if (setting === undefined) return { kind: "priorities", split: false, failover: [], failoverPriority: [] };
  if (setting.enabled === false) return { kind: "alike" };
  const { distribute, failover, failoverPriority } = setting;
  if (distribute.length > 0) return limited ? { kind: "weights", distribute, failover: true } : { kind: "distribute", distribute };
  // A split by zones would contradict an order that labels decide.
  return { kind: "priorities", split: setting.enabled === true && !limited && failoverPriority.length === 0, failover, failoverPriority };
}

/** Source: Istio, pilot/pkg/networking/core/loadbalancer GetLocalityLbSetting and ApplyLocalityLoadBalancer; the mesh's setting is enabled by default. */
function istioPlan(settings: MeshConfigSpec, policy: EffectivePolicy): LocalityPlan {
  const { localityLbSetting, zoneAwareLbSetting } = policy.loadBalancer ?? {};
  // Without outlier detection Envoy would never leave a priority: Istio then sets none.
  const failsOver = policy.outlierDetection !== undefined;
  if (zoneAwareLbSetting !== undefined) {
    const { failover, failoverPriority, minClusterSize } = zoneAwareLbSetting;
    if (zoneAwareLbSetting.enabled === false) return { kind: "alike" };
    return { kind: "zone-aware", minClusterSize: minClusterSize ?? ISTIO_MIN_CLUSTER_SIZE, priorities: failsOver, failover, failoverPriority };
  }
  const setting = localityLbSetting ?? settings.localityLbSetting;
  if (setting?.enabled === false) return { kind: "alike" };
  if (setting !== undefined && setting.distribute.length > 0) return { kind: "weights", distribute: setting.distribute, failover: false };
  if (!failsOver) return { kind: "alike" };
  return { kind: "priorities", split: false, failover: setting?.failover ?? [], failoverPriority: setting?.failoverPriority ?? [] };
}

/** Whether a pool has a limit that every request to the destination is to count against. */
function hasLimits(pool: ConnectionPool | undefined): boolean {
  const { tcp, http } = pool ?? {};
  return [tcp?.maxConnections, http?.http1MaxPendingRequests, http?.http2MaxRequests, http?.maxRetries].some((limit) => limit !== undefined);
}

/**
 * Whether a locality is covered by Istio's pattern: `region/zone/subzone`, cut short or ended by `*` to cover all below; `*` covers everything.
 * Source: Istio, pilot/pkg/networking/util LocalityMatch.
 */
export function localityMatches(pattern: string, locality: Locality): boolean {
  const [region = "", zone = "", subzone = ""] = pattern.split("/");
  if (region === "*") return true;
  if (region !== locality.region) return false;
  if (zone === "*" || zone === "") return true;
  if (zone !== locality.zone) return false;
  return subzone === "*" || subzone === "" || subzone === locality.subzone;
}
