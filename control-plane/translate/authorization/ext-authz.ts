// The external authorizers of a mesh (extensionProviders of its MeshConfig) to Envoy's ext_authz filters, for requests and for connections.
// Source: Istio, pilot/pkg/security/authz/builder/extauthz.go.
import { ApiVersion } from "../../gen/envoy/config/core/v3/config_source_pb.js";
import type { GrpcServiceSchema } from "../../gen/envoy/config/core/v3/grpc_service_pb.js";
import type { ExtAuthzSchema as HttpExtAuthzSchema } from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import type { ExtAuthzSchema as NetworkExtAuthzSchema } from "../../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import type { ListStringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.js";
import { StatusCode } from "../../gen/envoy/type/v3/http_status_pb.js";
import { resolveHostname } from "../../mesh/hosts.ts";
import type { Mesh } from "../../mesh/mesh.ts";
import type { ExtAuthzGrpc, ExtAuthzHttp } from "../../model/ext-authz-provider.ts";
import { duration } from "../duration.ts";
import type { Init } from "../init.ts";
import { type ClusterKey, outboundClusterName } from "../names.ts";
import { metadataMatcher, prefix, stringMatcher, stringValue } from "./matchers.ts";

/** The evaluation of the rules that ask for an authorizer, told to it by the RBAC filter before it. */
export const CUSTOM_STAT_PREFIX = "istio_ext_authz_";

/** A provider as the mesh can use it. */
export type Authorizer =
  | { readonly kind: "grpc"; readonly provider: ExtAuthzGrpc; readonly cluster: ClusterKey }
  | { readonly kind: "http"; readonly provider: ExtAuthzHttp; readonly cluster: ClusterKey }
  /** Nothing can be asked: what would have been is refused. `why` is for the user. */
  | { readonly kind: "unusable"; readonly why: string };

/** Envoy wants a time; this one leaves it to the cluster's settings. Source: Istio, timeoutOrDefault. */
const NO_TIMEOUT_MS = 600_000;

/** The authorizer that a policy names. */
export function authorizerNamed(mesh: Mesh, name: string): Authorizer {
  const named = mesh.settings.extensionProviders.filter((provider) => provider.name === name);
  const [provider] = named;
  if (provider === undefined) return unusable(`the MeshConfig has no extension provider ${name}`);
  if (named.length > 1) return unusable(`the MeshConfig has several extension providers ${name}`);
  const { envoyExtAuthzGrpc: grpc, envoyExtAuthzHttp: http } = provider;
  const settings = grpc ?? http;
  if (settings === undefined) return unusable(`the extension provider ${name} is no external authorizer`);
  const cluster = serviceCluster(mesh, settings);
  if (cluster === undefined)
    return unusable(`the extension provider ${name} names the service ${settings.service}:${settings.port}, which the mesh does not have`);
  const problem = problemOf(settings, http);
  if (problem !== undefined) return unusable(`the extension provider ${name} has ${problem}`);
  if (grpc !== undefined) return { kind: "grpc", provider: grpc, cluster };
  return http === undefined ? unusable(`the extension provider ${name} is no external authorizer`) : { kind: "http", provider: http, cluster };
}

function unusable(why: string): Authorizer {
  return { kind: "unusable", why };
}

function serviceCluster(mesh: Mesh, { service, port }: ExtAuthzGrpc): ClusterKey | undefined {
  const [first = "", second] = service.split("/");
  const hostname = second === undefined ? resolveHostname(mesh, first, "default") : resolveHostname(mesh, second, first);
  const known = mesh.hosts.get(hostname)?.ports.some(({ number }) => number === port);
  return known === true ? { hostname, port, subset: "" } : undefined;
}

function problemOf({ statusOnError }: ExtAuthzGrpc, http: ExtAuthzHttp | undefined): string | undefined {
  if (statusOnError !== undefined && statusCode(statusOnError) === undefined) return `the statusOnError ${statusOnError}, which is no HTTP status`;
  if (http === undefined) return undefined;
  if (http.pathPrefix !== "" && !http.pathPrefix.startsWith("/")) return `the pathPrefix ${http.pathPrefix}, which does not begin with a slash`;
  const lists = [
    http.includeRequestHeadersInCheck,
    http.includeHeadersInCheck,
    http.headersToDownstreamOnDeny,
    http.headersToDownstreamOnAllow,
    http.headersToUpstreamOnAllow,
  ];
  return lists.some((names) => names.includes("*")) ? "a single * as the name of a header" : undefined;
}

/** The HTTP filter: asks about the requests that a rule of this provider's policies matched. */
export function httpExtAuthz(name: string, authorizer: Exclude<Authorizer, { kind: "unusable" }>): Init<typeof HttpExtAuthzSchema> {
  const { provider } = authorizer;
  const code = provider.statusOnError === undefined ? undefined : statusCode(provider.statusOnError);
  const body = provider.includeRequestBodyInCheck;
  return {
    services:
      authorizer.kind === "grpc"
        ? { case: "grpcService", value: grpcService(authorizer.provider, authorizer.cluster) }
        : { case: "httpService", value: httpService(authorizer.provider, authorizer.cluster) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: provider.failOpen,
    clearRouteCache: provider.clearRouteCache,
    ...(code === undefined ? {} : { statusOnError: { code } }),
    ...(body === undefined ? {} : { withRequestBody: body }),
    ...(authorizer.kind === "http" ? checkedHeaders(authorizer.provider) : {}),
    filterEnabledMetadata: whereMatched("envoy.filters.http.rbac", name),
  };
}

/** The network filter likewise; undefined for a provider that is asked by HTTP, which there is no way to ask about connections. */
export function networkExtAuthz(
  name: string,
  authorizer: Exclude<Authorizer, { kind: "unusable" }>,
  statPrefix: string,
): Init<typeof NetworkExtAuthzSchema> | undefined {
  if (authorizer.kind === "http") return undefined;
  return {
    statPrefix,
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorizer.provider.failOpen,
    grpcService: grpcService(authorizer.provider, authorizer.cluster),
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

function statusCode(text: string): StatusCode | undefined {
  const code = /^\d{3}$/.test(text) ? Number(text) : undefined;
  return code === undefined || StatusCode[code] === undefined ? undefined : code;
}
