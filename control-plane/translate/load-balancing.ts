// How an endpoint is chosen inside a cluster: a DestinationRule's loadBalancer to Envoy's fields. The key of a consistent hash lives on the route.
import {
  type Cluster_CommonLbConfigSchema,
  Cluster_LbPolicy,
  type Cluster_SlowStartConfigSchema,
  type ClusterSchema,
} from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { LocalityPlan } from "../mesh/locality.ts";
import type { ConsistentHash, LoadBalancer } from "../model/destination-rule.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";

export type CommonLbConfigInit = Init<typeof Cluster_CommonLbConfigSchema>;
type ClusterInit = Init<typeof ClusterSchema>;

/** The fields of a cluster that say how an endpoint is chosen. */
export interface LoadBalancingFields {
  readonly lbPolicy: Cluster_LbPolicy;
  readonly lbConfig?: NonNullable<ClusterInit["lbConfig"]>;
}

/** Istio's default. Source: Istio reference, ConsistentHashLB.RingHash. */
const RING_SIZE_DEFAULT = 1_024;
const MAGLEV_TABLE_DEFAULT = 65_537;
const WARMUP_MINIMUM_PERCENT = 10;

/** The policy: what is written, else the endpoint with the fewer requests of two drawn at random (Istio's default too). */
export function loadBalancing(written: LoadBalancer | undefined): LoadBalancingFields {
  if (written?.consistentHash !== undefined) return hashing(written.consistentHash);
  const slowStart = slowStartOf(written);
  switch (written?.simple) {
    case "RANDOM":
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    case "ROUND_ROBIN":
      return { lbPolicy: Cluster_LbPolicy.ROUND_ROBIN, ...(slowStart && { lbConfig: { case: "roundRobinLbConfig", value: { slowStartConfig: slowStart } } }) };
    case undefined:
    case "UNSPECIFIED":
    case "LEAST_CONN":
    case "LEAST_REQUEST":
    case "PASSTHROUGH":
      return {
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        ...(slowStart && { lbConfig: { case: "leastRequestLbConfig", value: { slowStartConfig: slowStart } } }),
      };
  }
}

function hashing({ ringHash, maglev, minimumRingSize }: ConsistentHash): LoadBalancingFields {
  if (maglev !== undefined) {
    return { lbPolicy: Cluster_LbPolicy.MAGLEV, lbConfig: { case: "maglevLbConfig", value: { tableSize: BigInt(maglev.tableSize ?? MAGLEV_TABLE_DEFAULT) } } };
  }
  // Zero is what proto3 cannot tell from absent, so it means the default.
  const size = ringHash?.minimumRingSize || minimumRingSize || RING_SIZE_DEFAULT;
  return { lbPolicy: Cluster_LbPolicy.RING_HASH, lbConfig: { case: "ringHashLbConfig", value: { minimumRingSize: BigInt(size) } } };
}

/** A new endpoint gets its share little by little. Source: Istio, setSlowStartConfig. */
function slowStartOf(written: LoadBalancer | undefined): Init<typeof Cluster_SlowStartConfigSchema> | undefined {
  if (written?.warmup !== undefined) {
    const { duration: window, minimumPercent, aggression } = written.warmup;
    return {
      slowStartWindow: duration(window),
      minWeightPercent: { value: minimumPercent ?? WARMUP_MINIMUM_PERCENT },
      ...(aggression === undefined ? {} : { aggression: { defaultValue: aggression } }),
    };
  }
  return written?.warmupDurationSecs === undefined ? undefined : { slowStartWindow: duration(written.warmupDurationSecs) };
}

/** What Envoy is told about localities beside the priorities of the endpoints. */
export function localityConfig(plan: LocalityPlan): CommonLbConfigInit {
  switch (plan.kind) {
    case "weights":
      return { localityConfigSpecifier: { case: "localityWeightedLbConfig", value: {} } };
    case "zone-aware":
      return { localityConfigSpecifier: { case: "zoneAwareLbConfig", value: { routingEnabled: { value: 100 }, minClusterSize: BigInt(plan.minClusterSize) } } };
    case "alike":
    case "priorities":
    case "distribute":
      return {};
  }
}
