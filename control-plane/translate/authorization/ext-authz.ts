// The external authorizers of a mesh (extensionProviders of its MeshConfig) to Envoy's ext_authz filters, for requests and for connections.
// Source: Istio, pilot/pkg/security/authz/builder/extauthz.go.
import { ApiVersion } from "../../gen/envoy/config/core/v3/config_source_pb.js";
import type { GrpcServiceSchema } from "../../gen/envoy/config/core/v3/grpc_service_pb.js";
import type { ExtAuthzSchema as HttpExtAuthzSchema } from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import type { ExtAuthzSchema as NetworkExtAuthzSchema } from "../../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import type { ListStringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.js";
import type { UsableAuthorizer } from "../../mesh/authorizers.ts";
import type { ExtAuthzGrpc, ExtAuthzHttp } from "../../model/ext-authz-provider.ts";
import { duration } from "../duration.ts";
import type { Init } from "../init.ts";
import { type ClusterKey, outboundClusterName } from "../names.ts";
import { metadataMatcher, prefix, stringMatcher, stringValue } from "./matchers.ts";

/** The evaluation of the rules that ask for an authorizer, told to it by the RBAC filter before it. */
export const CUSTOM_STAT_PREFIX = "istio_ext_authz_";

/** Envoy wants a time; this one leaves it to the cluster's settings. Source: Istio, timeoutOrDefault. */
const NO_TIMEOUT_MS = 600_000;

/** The HTTP filter: asks about the requests that a rule of this provider's policies matched. */
export function httpExtAuthz(name: string, authorizer: UsableAuthorizer): Init<typeof HttpExtAuthzSchema> {
  const { provider } = authorizer;
  const { statusOnError } = provider;
  const body = provider.includeRequestBodyInCheck;
  return {
    services:
      authorizer.kind === "grpc"
        ? { case: "grpcService", value: grpcService(authorizer.provider, authorizer.destination) }
        : { case: "httpService", value: httpService(authorizer.provider, authorizer.destination) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: provider.failOpen,
    clearRouteCache: provider.clearRouteCache,
    ...(statusOnError === undefined ? {} : { statusOnError: { code: Number(statusOnError) } }),
    ...(body === undefined ? {} : { withRequestBody: body }),
    ...(authorizer.kind === "http" ? checkedHeaders(authorizer.provider) : {}),
    filterEnabledMetadata: whereMatched("envoy.filters.http.rbac", name),
  };
}

/** The network filter likewise; undefined for a provider that is asked by HTTP, which there is no way to ask about connections. */
export function networkExtAuthz(name: string, authorizer: UsableAuthorizer, statPrefix: string): Init<typeof NetworkExtAuthzSchema> | undefined {
  if (authorizer.kind === "http") return undefined;
  return {
    statPrefix,
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorizer.provider.failOpen,
    grpcService: grpcService(authorizer.provider, authorizer.destination),
    filterEnabledMetadata: whereMatched("envoy.filters.network.rbac", name),
  };
}

/** The beginning of the names of a provider's rules: by them ext_authz knows that one of its own has matched. */
export function customRulePrefix(provider: string): string {
  return `istio-ext-authz-${provider}-`;
}

function whereMatched(filter: string, provider: string) {
  return metadataMatcher(filter, [`${CUSTOM_STAT_PREFIX}shadow_effective_policy_id`], [stringValue(prefix(`${customRulePrefix(provider)}ns[`))]);
}

function grpcService({ timeout }: ExtAuthzGrpc, cluster: ClusterKey): Init<typeof GrpcServiceSchema> {
  const envoyGrpc = { clusterName: outboundClusterName(cluster), authority: cluster.hostname };
  return { targetSpecifier: { case: "envoyGrpc", value: envoyGrpc }, timeout: duration(timeout ?? NO_TIMEOUT_MS) };
}

function httpService(provider: ExtAuthzHttp, cluster: ClusterKey) {
  const { timeout, pathPrefix, headersToUpstreamOnAllow, headersToDownstreamOnDeny, headersToDownstreamOnAllow } = provider;
  const added = Object.entries(provider.includeAdditionalHeadersInCheck).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    // Envoy wants the URI and does not use it.
    serverUri: {
      uri: `http://${cluster.hostname}`,
      httpUpstreamType: { case: "cluster", value: outboundClusterName(cluster) } as const,
      timeout: duration(timeout ?? NO_TIMEOUT_MS),
    },
    pathPrefix,
    ...(added.length === 0 ? {} : { authorizationRequest: { headersToAdd: added.map(([key, value]) => ({ key, value })) } }),
    authorizationResponse: {
      ...headerList("allowedUpstreamHeaders", headersToUpstreamOnAllow),
      ...headerList("allowedClientHeaders", headersToDownstreamOnDeny),
      ...headerList("allowedClientHeadersOnSuccess", headersToDownstreamOnAllow),
    },
  };
}

function checkedHeaders({ includeRequestHeadersInCheck, includeHeadersInCheck }: ExtAuthzHttp) {
  return headerList("allowedHeaders", includeRequestHeadersInCheck.length > 0 ? includeRequestHeadersInCheck : includeHeadersInCheck);
}

function headerList<Field extends string>(field: Field, names: readonly string[]): { readonly [field in Field]?: Init<typeof ListStringMatcherSchema> } {
  const patterns = names.map((name) => ({ ...stringMatcher(name), ignoreCase: true }));
  return names.length === 0 ? {} : recordOf(field, { patterns });
}

function recordOf<Field extends string, Value>(field: Field, value: Value): { readonly [field in Field]?: Value } {
  const record: { [field in Field]?: Value } = {};
  record[field] = value;
  return record;
}
