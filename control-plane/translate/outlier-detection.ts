// Which endpoints are left alone after failures: a DestinationRule's outlierDetection, or the mesh's default, to Envoy's.

import type { OutlierDetectionSchema } from "../gen/envoy/config/cluster/v3/outlier_detection_pb.js";
import type { OutlierDetection } from "../model/destination-rule.ts";
import { type ClusterDefaults, type OutlierDefaults, WRITTEN_OUTLIER_DEFAULTS } from "./defaults.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";
import type { CommonLbConfigInit } from "./load-balancing.ts";

type OutlierInit = Init<typeof OutlierDetectionSchema>;

/** What a cluster has for it: both absent without outlier detection. */
export interface OutlierFields {
  readonly outlierDetection?: OutlierInit;
  readonly panic?: NonNullable<CommonLbConfigInit["healthyPanicThreshold"]>;
}

/** Envoy's ejection by success rate, which is on by default, stays off: neither Istio's API nor Weft's default asks for it. */
const ONLY_CONSECUTIVE = { enforcingSuccessRate: 0 } as const;
const ALWAYS = 100;

/** The written policy, else the default one. Ejected endpoints are still asked when too few others are left (the panic threshold). */
export function outlierFields(written: OutlierDetection | undefined, defaults: ClusterDefaults): OutlierFields {
  if (written !== undefined) {
    return { outlierDetection: writtenPolicy(written), panic: { value: written.minHealthPercent || defaults.panicPercent } };
  }
  if (defaults.outlier === undefined) return {};
  return { outlierDetection: defaultPolicy(defaults.outlier), panic: { value: defaults.panicPercent } };
}

function defaultPolicy(outlier: OutlierDefaults): OutlierInit {
  return {
    ...ONLY_CONSECUTIVE,
    enforcingConsecutive5xx: 0,
    consecutiveGatewayFailure: outlier.consecutiveGatewayFailures,
    enforcingConsecutiveGatewayFailure: ALWAYS,
    interval: duration(outlier.intervalMs),
    baseEjectionTime: duration(outlier.baseEjectionMs),
    maxEjectionTime: duration(outlier.maxEjectionMs),
    maxEjectionPercent: outlier.maxEjectionPercent,
  };
}

/** Source: Istio, pilot/pkg/networking/core/cluster_traffic_policy.go applyOutlierDetection. A count of 0 switches that kind of ejection off. */
function writtenPolicy(written: OutlierDetection): OutlierInit {
  const consecutive5xx = written.consecutive5xxErrors ?? WRITTEN_OUTLIER_DEFAULTS.consecutive5xx;
  const gateway = written.consecutiveGatewayErrors ?? 0;
  const local = written.consecutiveLocalOriginFailures ?? WRITTEN_OUTLIER_DEFAULTS.consecutiveLocalOriginFailures;
  return {
    ...ONLY_CONSECUTIVE,
    ...(consecutive5xx > 0 ? { consecutive5xx } : {}),
    enforcingConsecutive5xx: consecutive5xx > 0 ? ALWAYS : 0,
    ...(gateway > 0 ? { consecutiveGatewayFailure: gateway, enforcingConsecutiveGatewayFailure: ALWAYS } : {}),
    interval: duration(written.interval || WRITTEN_OUTLIER_DEFAULTS.intervalMs),
    baseEjectionTime: duration(written.baseEjectionTime || WRITTEN_OUTLIER_DEFAULTS.baseEjectionMs),
    maxEjectionPercent: written.maxEjectionPercent || WRITTEN_OUTLIER_DEFAULTS.maxEjectionPercent,
    ...(written.splitExternalLocalOriginErrors
      ? {
          splitExternalLocalOriginErrors: true,
          enforcingLocalOriginSuccessRate: 0,
          ...(local > 0 ? { consecutiveLocalOriginFailure: local } : {}),
          enforcingConsecutiveLocalOriginFailure: local > 0 ? ALWAYS : 0,
        }
      : {}),
  };
}
