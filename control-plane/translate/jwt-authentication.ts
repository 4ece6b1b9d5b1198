// The RequestAuthentications of a workload to Envoy's jwt_authn filter: a request without a token passes, one with a token that does not hold is answered 401.
// Mesh and workload in; the filter out, with the clusters that key sets are fetched from. Source: Istio, pilot/pkg/security/authn/policy_applier.go.
import { create, toBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Cluster_DiscoveryType, Cluster_DnsLookupFamily, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { JwtAuthenticationSchema, type JwtProviderSchema, type JwtRequirementSchema } from "../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import type { HttpFilterSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { type CertificateValidationContextSchema, SubjectAltNameMatcher_SanType } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { resolveHostname } from "../mesh/hosts.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { requestAuthenticationsOf, type SecuredWorkload, securityViewOf } from "../mesh/security-policies.ts";
import { type JwksLocation, jwksLocation, readableJwks } from "../model/jwks.ts";
import type { JwtRule } from "../model/request-authentication.ts";
import type { RequestAuthentication } from "../model/resource.ts";
import { packAny } from "./any.ts";
import { JWT_FILTER, JWT_PAYLOAD } from "./authorization/attributes.ts";
import { circuitBreakers, connectionFields } from "./connection-pool.ts";
import { CLUSTER_DEFAULTS } from "./defaults.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { type ResourceOrigin, resourceOrigin, type TranslatedResource } from "./resource.ts";

type ProviderInit = Init<typeof JwtProviderSchema>;
type RequirementInit = Init<typeof JwtRequirementSchema>;

/** The filter of a workload, and what it needs. Equal questions are answered by the same object. */
export interface JwtAuthentication {
  /** Empty where no RequestAuthentication selects the workload. */
  readonly filters: readonly Init<typeof HttpFilterSchema>[];
  /** Of hosts of the mesh that give key sets. */
  readonly clusters: readonly ClusterKey[];
  /** Clusters of the other hosts that do. */
  readonly resources: readonly TranslatedResource[];
  readonly origins: readonly ResourceOrigin[];
}

/** A workload, and where its machine keeps the roots of the public certificate authorities. */
export interface TokenCheckingWorkload extends SecuredWorkload {
  readonly systemRoots?: string;
}

/** Where they are unless told otherwise: on Debian and what comes from it, Alpine and Envoy's images. */
const SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt";
/** Source: Istio, convertToEnvoyJwtConfig. */
const FETCH_TIMEOUT_MS = 5_000;
const KEPT_MS = 300_000;
/** These hold several values with spaces between them, whatever else does. Source: RFC 8693, "scope"; Istio, buildSpaceDelimitedClaims. */
const SPACE_DELIMITED = ["permission", "scope"];

/** Envoy refuses a provider without a key. Nobody has the other half of this one, so that no token holds by it. */
const NO_KEYS = JSON.stringify({
  keys: [
    {
      kty: "EC",
      crv: "P-256",
      kid: "none",
      x: "khCXfxlUYVdM73askzxKcs1CeJHfqMjgmSx98LOG9sA",
      y: "veOqeIhDUZDEp7nvlkqn4yN1ge1JMO489tFi7_4d6xE",
    },
  ],
});

/**
 * The jwt_authn filter. It belongs before all filters of authorization, which read the claims that it leaves. `clearRouteCache`: routes may ask for claims, so
 * that they are to be looked for again once those are known (gateways).
 */
export function jwtAuthentication(mesh: Mesh, workload: TokenCheckingWorkload, clearRouteCache: boolean): JwtAuthentication {
  const made = MADE.get(mesh) ?? new Map<string, JwtAuthentication>();
  MADE.set(mesh, made);
  const { systemRoots = SYSTEM_ROOTS } = workload;
  const key = `${clearRouteCache} ${systemRoots} ${securityViewOf(workload)}`;
  const found = made.get(key) ?? build(mesh, requestAuthenticationsOf(mesh, workload), clearRouteCache, systemRoots);
  made.set(key, found);
  return found;
}

const MADE = new WeakMap<Mesh, Map<string, JwtAuthentication>>();

function build(mesh: Mesh, policies: readonly RequestAuthentication[], clearRouteCache: boolean, systemRoots: string): JwtAuthentication {
  const rules = rulesOf(policies);
  const origins = policies.map(resourceOrigin);
  if (rules.length === 0) return { filters: [], clusters: [], resources: [], origins };
  const sources = rules.map((rule) => keySource(mesh, rule, systemRoots, origins));
  const providers = rules.map((rule, index): [string, ProviderInit] => [
    providerName(index),
    { ...provider(rule), clearRouteCache, jwksSourceSpecifier: sources[index]?.specifier ?? inlineKeys(NO_KEYS) },
  ]);
  const requires = requirement(rules.map((_, index) => providerName(index)));
  const typedConfig = packAny(JwtAuthenticationSchema, {
    providers: Object.fromEntries(providers),
    rules: [{ match: { pathSpecifier: { case: "prefix", value: "/" } }, requirementType: { case: "requires", value: requires } }],
    // A preflight carries no token.
    bypassCorsPreflight: true,
  });
  return {
    filters: [{ name: JWT_FILTER, configType: { case: "typedConfig", value: typedConfig } }],
    clusters: sources.flatMap(({ cluster }) => cluster ?? []),
    resources: sources.flatMap(({ resource }) => resource ?? []),
    origins,
  };
}

/** The rules of all policies, by issuer: an issuer is one for the workload, whoever names it. Source: Istio, sorted for stable configuration. */
function rulesOf(policies: readonly RequestAuthentication[]): readonly JwtRule[] {
  const rules = policies.flatMap(({ spec }) => spec.jwtRules);
  const issuer = (rule: JwtRule): string => rule.issuer ?? "";
  return rules
    .map((rule, index) => ({ rule, index }))
    .sort((a, b) => (issuer(a.rule) < issuer(b.rule) ? -1 : issuer(a.rule) > issuer(b.rule) ? 1 : a.index - b.index))
    .map(({ rule }) => rule);
}

function providerName(index: number): string {
  return `origins-${index}`;
}

function provider(rule: JwtRule): ProviderInit {
  return {
    issuer: rule.issuer ?? "",
    audiences: rule.audiences,
    forward: rule.forwardOriginalToken ?? false,
    fromHeaders: rule.fromHeaders.map(({ name, prefix }) => ({ name, valuePrefix: prefix ?? "" })),
    fromParams: rule.fromParams,
    fromCookies: rule.fromCookies,
    forwardPayloadHeader: rule.outputPayloadToHeader ?? "",
    claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
    payloadInMetadata: JWT_PAYLOAD,
    normalizePayloadInMetadata: { spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...rule.spaceDelimitedClaims])].sort() },
  };
}

/**
 * Every token that is there must hold, and none need be there. Providers that look at the same place would refuse each other's tokens, so one that holds for any of
 * them is enough.
 */
function requirement(names: readonly string[]): RequirementInit {
  const by = (name: string): RequirementInit => ({ requiresType: { case: "providerName", value: name } });
  const any = (requirements: RequirementInit[]): RequirementInit => ({ requiresType: { case: "requiresAny", value: { requirements } } });
  const missing: RequirementInit = { requiresType: { case: "allowMissing", value: create(EmptySchema) } };
  const each = names.map((name) => any([by(name), missing]));
  const [only, ...others] = each;
  if (only !== undefined && others.length === 0) return only;
  return any([...names.map(by), { requiresType: { case: "requiresAll", value: { requirements: each } } }]);
}

interface KeySource {
  readonly specifier: NonNullable<ProviderInit["jwksSourceSpecifier"]>;
  readonly cluster?: ClusterKey;
  readonly resource?: TranslatedResource;
}

function inlineKeys(keys: string): KeySource["specifier"] {
  return { case: "localJwks", value: { specifier: { case: "inlineString", value: keys } } };
}

/** Keys that stand in the rule count before a URI, as in Istio. Keys that cannot be read, or none at all, let no token hold. */
function keySource(mesh: Mesh, rule: JwtRule, systemRoots: string, origins: readonly ResourceOrigin[]): KeySource {
  const written = rule.jwks ?? "";
  if (written !== "") return { specifier: inlineKeys(readableJwks(written) ? written : NO_KEYS) };
  const location = jwksLocation(rule.jwksUri ?? "");
  if (location === undefined) return { specifier: inlineKeys(NO_KEYS) };
  const hostname = resolveHostname(mesh, location.hostname, "default");
  const host = mesh.hosts.get(hostname);
  const inside = host?.ports.some(({ number }) => number === location.port) === true && !(host.external && location.tls);
  const cluster: ClusterKey = { hostname, port: location.port, subset: "" };
  if (inside) return { specifier: remoteKeys(location, outboundClusterName(cluster), rule), cluster };
  const resource = outsideCluster(location, systemRoots, origins);
  return { specifier: remoteKeys(location, resource.name, rule), resource };
}

/** Fetched before the first token comes, kept, and fetched again before they are needed. A listener does not wait for a key server that is away. */
function remoteKeys({ uri }: JwksLocation, cluster: string, { timeout }: JwtRule): KeySource["specifier"] {
  return {
    case: "remoteJwks",
    value: {
      httpUri: { uri, httpUpstreamType: { case: "cluster", value: cluster }, timeout: duration(timeout ?? FETCH_TIMEOUT_MS) },
      cacheDuration: duration(KEPT_MS),
      asyncFetch: { fastListener: true },
    },
  };
}

/** The cluster of a key server that the mesh does not know. Its certificate must be for its name, and from a public authority. */
function outsideCluster(location: JwksLocation, systemRoots: string, origins: readonly ResourceOrigin[]): TranslatedResource {
  const { hostname, port, tls } = location;
  const name = `jwks|${tls ? "https" : "http"}|${hostname}|${port}`;
  const address = { address: { case: "socketAddress", value: { address: hostname, portSpecifier: { case: "portValue", value: port } } } } as const;
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STRICT_DNS },
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    ...connectionFields(undefined, CLUSTER_DEFAULTS.istio),
    circuitBreakers: circuitBreakers({}, CLUSTER_DEFAULTS.istio),
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address } } }] }] },
    ...(tls ? { transportSocket: tlsTo(hostname, systemRoots) } : {}),
  });
  return { type: "cluster", name, body: toBinary(ClusterSchema, cluster), origins, needs: [] };
}

function tlsTo(hostname: string, systemRoots: string) {
  const validation: Init<typeof CertificateValidationContextSchema> = {
    trustedCa: { specifier: { case: "filename", value: systemRoots } },
    matchTypedSubjectAltNames: [{ sanType: SubjectAltNameMatcher_SanType.DNS, matcher: { matchPattern: { case: "exact", value: hostname } } }],
  };
  const typedConfig = packAny(UpstreamTlsContextSchema, {
    sni: hostname,
    commonTlsContext: { validationContextType: { case: "validationContext", value: validation } },
  });
  return { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig", value: typedConfig } } as const;
}
