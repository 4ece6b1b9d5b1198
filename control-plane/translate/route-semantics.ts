// VirtualServices that Istio has made of an Ingress or of the Gateway API say so in an annotation, and are read a little differently.

import { RouteAction_ClusterNotFoundResponseCode } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteActionInit } from "./route-action.ts";

const SEMANTICS_ANNOTATION = "internal.istio.io/route-semantics";

/** What differs. */
export interface RouteSemantics {
  /** A path prefix ends at a slash: `/api` does not hold for `/apiary`. */
  readonly prefixesBySegment: boolean;
  readonly action: RouteActionInit;
}

const PLAIN: RouteSemantics = { prefixesBySegment: false, action: {} };
const INGRESS: RouteSemantics = { ...PLAIN, prefixesBySegment: true };
/** The Gateway API asks for 500 where a destination is not there, and for the original host beside a rewritten one. */
const GATEWAY: RouteSemantics = {
  prefixesBySegment: true,
  action: { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR, appendXForwardedHost: true },
};

/** Source: Istio, constants.InternalRouteSemantics. */
export function semanticsOf(annotations: Readonly<Record<string, string>>): RouteSemantics {
  const value = annotations[SEMANTICS_ANNOTATION];
  return value === "ingress" ? INGRESS : value === "gateway" ? GATEWAY : PLAIN;
}
