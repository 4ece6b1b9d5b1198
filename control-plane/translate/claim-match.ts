// Conditions on a claim of the request's JWT, which Istio writes as headers: `@request.auth.claims.group` or `@request.auth.claims[realm.access][roles]`.
// Source: Istio, pilot/pkg/xds/filters and pkg/jwt, ToRoutingClaim; the JWT filter leaves the claims in its metadata under `payload`.
import type { MetadataMatcherSchema } from "../gen/envoy/type/matcher/v3/metadata_pb.js";
import type { StringMatcherSchema } from "../gen/envoy/type/matcher/v3/string_pb.js";
import type { ValueMatcherSchema } from "../gen/envoy/type/matcher/v3/value_pb.js";
import type { Init } from "./init.ts";

const PREFIX = "@request.auth.claims";
const JWT_FILTER = "envoy.filters.http.jwt_authn";

/** The path of a claim, or undefined for the name of a header. */
export function claimOf(name: string): readonly string[] | undefined {
  if (!name.toLowerCase().startsWith(PREFIX)) return undefined;
  const rest = name.slice(PREFIX.length);
  if (rest.startsWith(".")) return rest.slice(1).split(".");
  const parts = [...rest.matchAll(/\[([^\]]+)\]/g)].map(([, part = ""]) => part);
  return parts.length > 0 ? parts : undefined;
}

/** Holds where the claim has the value, or is a list that does; without a condition, where it is there. */
export function claimMatcher(
  claim: readonly string[],
  condition: Init<typeof StringMatcherSchema> | undefined,
  invert: boolean,
): Init<typeof MetadataMatcherSchema> {
  return {
    filter: JWT_FILTER,
    path: ["payload", ...claim].map((key) => ({ segment: { case: "key", value: key } })),
    value: condition === undefined ? { matchPattern: { case: "presentMatch", value: true } } : valueOrList(condition),
    invert,
  };
}

function valueOrList(condition: Init<typeof StringMatcherSchema>): Init<typeof ValueMatcherSchema> {
  const single: Init<typeof ValueMatcherSchema> = { matchPattern: { case: "stringMatch", value: condition } };
  const list: Init<typeof ValueMatcherSchema> = { matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value: single } } } };
  return { matchPattern: { case: "orMatch", value: { valueMatchers: [list, single] } } };
}
