// Istio's mirrors to Envoy's request mirror policies. Envoy sends the copy with `-shadow` appended to the authority and drops the answer.
import type { RouteAction_RequestMirrorPolicySchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { Destination, HttpRoute } from "../model/virtual-service.ts";
import type { Init } from "./init.ts";
import { fractionalPercent } from "./percentage.ts";

/** A mirror of a route, `mirror` or one of `mirrors`. */
export interface Mirror {
  readonly destination: Destination;
  /** 0 to 100; absent means every request. */
  readonly percent: number | undefined;
}

/** The mirrors that a route asks for; those with a share of 0 are absent. */
export function mirrorsOf(route: HttpRoute): readonly Mirror[] {
  const single = route.mirror === undefined ? [] : [{ destination: route.mirror, percent: route.mirrorPercentage?.value ?? route.mirrorPercent }];
  const several = route.mirrors.map(({ destination, percentage }) => ({ destination, percent: percentage?.value }));
  return [...single, ...several].filter(({ percent }) => percent !== 0);
}

/** Copies a share of the requests to a cluster. */
export function mirrorPolicy(cluster: string, percent: number | undefined): Init<typeof RouteAction_RequestMirrorPolicySchema> {
  return { cluster, runtimeFraction: { defaultValue: fractionalPercent(percent) } };
}
