// Istio's CORS policy to the configuration of Envoy's CORS filter for one route.
import type { Any } from "@bufbuild/protobuf/wkt";
import { CorsPolicySchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import type { HttpRoute } from "../model/virtual-service.ts";
import { packAny } from "./any.ts";
import { fractionalPercent } from "./percentage.ts";
import { stringMatcher } from "./route-match.ts";

/** Name of the CORS filter in the chain, and the key of its per-route configuration. */
export const CORS_FILTER = "envoy.filters.http.cors";

/**
 * The policy of a route, or undefined where it has none. Preflights whose origin is not allowed go on to the destination, unless they are to be ignored: Envoy
 * then answers them without the headers that would allow anything. Source: Istio pilot/pkg/networking/core/route, TranslateCORSPolicy.
 */
export function corsPolicy(cors: HttpRoute["corsPolicy"]): Any | undefined {
  if (cors === undefined) return undefined;
  const { allowOrigins, allowOrigin, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials, unmatchedPreflights } = cors;
  const exact = allowOrigin.map((value) => ({ kind: "exact", value }) as const);
  const origins = allowOrigins.length > 0 ? allowOrigins : exact;
  return packAny(CorsPolicySchema, {
    allowOriginStringMatch: origins.flatMap((origin) => stringMatcher(origin) ?? []),
    allowMethods: allowMethods.join(","),
    allowHeaders: allowHeaders.join(","),
    exposeHeaders: exposeHeaders.join(","),
    ...(maxAge === undefined ? {} : { maxAge: String(Math.floor(maxAge / 1_000)) }),
    ...(allowCredentials === undefined ? {} : { allowCredentials }),
    filterEnabled: { defaultValue: fractionalPercent(undefined) },
    ...(unmatchedPreflights === undefined || unmatchedPreflights === "UNSPECIFIED" ? {} : { forwardNotMatchingPreflights: unmatchedPreflights === "FORWARD" }),
  });
}
