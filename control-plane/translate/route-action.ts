// What happens to a request that a route has matched: forwarded, redirected, or answered. One route of a VirtualService to Envoy's route actions.
import type {
  DirectResponseActionSchema,
  RedirectActionSchema,
  RouteAction_HashPolicySchema,
  RouteActionSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RedirectAction_RedirectResponseCode } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { ConsistentHash } from "../model/destination-rule.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import type { KeySource } from "./decision-record.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";

export type RouteActionInit = Init<typeof RouteActionSchema>;
type RedirectInit = Init<typeof RedirectActionSchema>;
type HashPolicyInit = Init<typeof RouteAction_HashPolicySchema>;

const REDIRECT_CODES: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
};

/** How the path changes. Envoy replaces what was matched: a prefix by itself, an exact path or a regular expression as the whole path without its query. */
export function pathRewrite(route: HttpRoute): RouteActionInit {
  const { uri, uriRegexRewrite } = route.rewrite ?? {};
  if (uriRegexRewrite) return { regexRewrite: { pattern: { regex: uriRegexRewrite.match }, substitution: uriRegexRewrite.rewrite } };
  return uri === undefined || uri === "" ? {} : { prefixRewrite: uri };
}

/**
 * The timeout of the whole request; none is Istio's default, where Envoy's would be 15 s. A gRPC client's own `grpc-timeout` is kept, below the route's.
 * Source: Istio, HTTPRoute.timeout; Envoy, RouteAction.MaxStreamDuration.
 */
export function timeouts(timeoutMs: number | undefined): RouteActionInit {
  const timeout = duration(timeoutMs ?? 0);
  return { timeout, maxStreamDuration: { grpcTimeoutHeaderMax: timeout } };
}

/** Source: Istio, HTTPRedirect. `port`: the one that was called, which FROM_REQUEST_PORT repeats; FROM_PROTOCOL_DEFAULT is what Envoy does by itself. */
export function redirectAction(redirect: NonNullable<HttpRoute["redirect"]>, port: number): RedirectInit {
  const portRedirect = redirect.port ?? (redirect.derivePort === "FROM_REQUEST_PORT" ? port : undefined);
  return {
    hostRedirect: redirect.authority ?? "",
    ...(redirect.scheme === undefined ? {} : { schemeRewriteSpecifier: { case: "schemeRedirect", value: redirect.scheme } }),
    ...(portRedirect === undefined ? {} : { portRedirect }),
    ...redirectedPath(redirect),
    responseCode: REDIRECT_CODES[redirect.redirectCode ?? 301] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  };
}

function redirectedPath({ uri, prefixRewrite }: NonNullable<HttpRoute["redirect"]>): RedirectInit {
  if (uri !== undefined && uri !== "") return { pathRewriteSpecifier: { case: "pathRedirect", value: uri } };
  return prefixRewrite === undefined || prefixRewrite === "" ? {} : { pathRewriteSpecifier: { case: "prefixRewrite", value: prefixRewrite } };
}

/** Source: Istio, HTTPDirectResponse; `bytes` is base64, as protobuf's JSON form has it. */
export function directResponse({ status, body }: NonNullable<HttpRoute["directResponse"]>): Init<typeof DirectResponseActionSchema> {
  if (body?.string !== undefined) return { status, body: { specifier: { case: "inlineString", value: body.string } } };
  if (body?.bytes !== undefined) return { status, body: { specifier: { case: "inlineBytes", value: Buffer.from(body.bytes, "base64") } } };
  return { status };
}

/** What hosts are chosen by, from the DestinationRules of a route's destinations; one that several ask for stands once. Source: Istio, ConsistentHashLB. */
export function hashPolicies(hashes: readonly ConsistentHash[]): HashPolicyInit[] {
  const policies = new Map(hashes.flatMap((hash) => hashPolicy(hash)).map((policy) => [JSON.stringify(policy, writeBigInts), policy]));
  return [...policies.values()];
}

function writeBigInts(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

function hashPolicy(hash: ConsistentHash): readonly HashPolicyInit[] {
  if (hash.httpHeaderName !== undefined) return [{ policySpecifier: { case: "header", value: { headerName: hash.httpHeaderName } } }];
  if (hash.httpCookie !== undefined) {
    const { name, path, ttl, attributes } = hash.httpCookie;
    const cookie = { name, path: path ?? "", attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value ?? "" })) };
    return [{ policySpecifier: { case: "cookie", value: ttl === undefined ? cookie : { ...cookie, ttl: duration(ttl) } } }];
  }
  if (hash.useSourceIp) return [{ policySpecifier: { case: "connectionProperties", value: { sourceIp: true } } }];
  if (hash.httpQueryParameterName !== undefined) return [{ policySpecifier: { case: "queryParameter", value: { name: hash.httpQueryParameterName } } }];
  return [];
}

/** The key that the zone inside a destination follows, where hosts are chosen by one that the filter can read. */
export function zoneKeyOf(hashes: readonly ConsistentHash[]): KeySource | undefined {
  for (const { httpHeaderName, httpCookie } of hashes) {
    if (httpHeaderName !== undefined) return { kind: "header", name: httpHeaderName.toLowerCase() };
    if (httpCookie !== undefined) return { kind: "cookie", name: httpCookie.name };
  }
  return undefined;
}
