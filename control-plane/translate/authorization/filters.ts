// The AuthorizationPolicies of a workload to filters, in the order in which they decide: external authorizers, audit, deny, allow. Mesh, proxy and port in,
// filters out, with the clusters that they ask and the YAML that they come from. Source: Istio, pilot/pkg/security/authz/builder/builder.go.

import type { FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.js";
import { RBAC_Action, type RBACSchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as HttpRbacSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import type { HttpFilterSchema } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { authorizerNamed } from "../../mesh/authorizers.ts";
import type { Mesh } from "../../mesh/mesh.ts";
import { type AppliedAuthorization, authorizationOf, isDryRun, type SecuredWorkload, securityViewOf } from "../../mesh/security-policies.ts";
import type { AuthorizationPolicy } from "../../model/resource.ts";
import { packAny } from "../any.ts";
import type { Init } from "../init.ts";
import type { ClusterKey } from "../names.ts";
import { type ResourceOrigin, resourceOrigin } from "../resource.ts";
import type { RulePlace } from "./attributes.ts";
import { CUSTOM_STAT_PREFIX, customRulePrefix, httpExtAuthz, networkExtAuthz } from "./ext-authz.ts";
import { NEVER, type PolicyInit, rulePolicy } from "./rule.ts";

export type HttpFilterInit = Init<typeof HttpFilterSchema>;
export type NetworkFilterInit = Init<typeof FilterSchema>;
type RbacInit = Init<typeof RBACSchema>;

/** A port by the number that policies know it by (container port, or the server port of a Gateway), and where it is bound. */
export interface AuthorizedPort {
  readonly known: number;
  readonly bound: number;
}

/** What decides at one port, in filter order, with all that it needs. Equal questions are answered by the same object. */
export interface AuthorizationFilters<Filter> {
  readonly filters: readonly Filter[];
  /** Of external authorizers. */
  readonly clusters: readonly ClusterKey[];
  readonly origins: readonly ResourceOrigin[];
}

/** Rules of one kind of RBAC filter: those that decide, and those of dry runs that are only told about. */
interface RuleSets {
  readonly rules?: RbacInit;
  readonly shadowRules?: RbacInit;
  readonly shadowRulesStatPrefix?: string;
}

type Transport = RulePlace["transport"];

/** Wraps what is common to both transports into the filters of one. */
interface Wrapping<Filter> {
  readonly transport: Transport;
  readonly rbac: (sets: RuleSets) => Filter;
  /** Undefined where the authorizer cannot be asked about connections. */
  readonly extAuthz: (provider: string, authorizer: Parameters<typeof networkExtAuthz>[1]) => Filter | undefined;
}

/** Statistics of the network filters, `tcp.rbac.denied` and others, have Istio's names. */
const TCP_STAT_PREFIX = "tcp.";

const HTTP: Wrapping<HttpFilterInit> = {
  transport: "http",
  rbac: (sets) => ({ name: "envoy.filters.http.rbac", configType: { case: "typedConfig", value: packAny(HttpRbacSchema, sets) } }),
  extAuthz: (provider, authorizer) => {
    const typedConfig = packAny(HttpExtAuthzSchema, httpExtAuthz(provider, authorizer));
    return { name: "envoy.filters.http.ext_authz", configType: { case: "typedConfig", value: typedConfig } };
  },
};

const TCP: Wrapping<NetworkFilterInit> = {
  transport: "tcp",
  rbac: (sets) => {
    const typedConfig = packAny(NetworkRbacSchema, { ...sets, statPrefix: TCP_STAT_PREFIX });
    return { name: "envoy.filters.network.rbac", configType: { case: "typedConfig", value: typedConfig } };
  },
  extAuthz: (provider, authorizer) => {
    const settings = networkExtAuthz(provider, authorizer, TCP_STAT_PREFIX);
    return settings && { name: "envoy.filters.network.ext_authz", configType: { case: "typedConfig", value: packAny(NetworkExtAuthzSchema, settings) } };
  },
};

/** The HTTP filters of a port; none where no policy selects the workload. They belong after jwt_authn, whose claims they read, and before all others. */
export function httpAuthorization(mesh: Mesh, workload: SecuredWorkload, port: AuthorizedPort): AuthorizationFilters<HttpFilterInit> {
  return remembered(HTTP_MADE, mesh, workload, port, () => build(mesh, authorizationOf(mesh, workload), port, HTTP));
}

/** The network filters of a port whose traffic is not HTTP. They belong before tcp_proxy. */
export function tcpAuthorization(mesh: Mesh, workload: SecuredWorkload, port: AuthorizedPort): AuthorizationFilters<NetworkFilterInit> {
  return remembered(TCP_MADE, mesh, workload, port, () => build(mesh, authorizationOf(mesh, workload), port, TCP));
}

function build<Filter>(mesh: Mesh, applied: AppliedAuthorization, port: AuthorizedPort, wrapping: Wrapping<Filter>): AuthorizationFilters<Filter> {
  const context: Context<Filter> = { mesh, port, wrapping };
  const custom = customFilters(applied.custom, context);
  const filters = [
    ...custom.filters,
    // Before the decisions: what is refused is audited too.
    ...ruleFilter(applied.audit, RBAC_Action.LOG, "istio_dry_run_audit_", context),
    ...ruleFilter(applied.deny, RBAC_Action.DENY, "istio_dry_run_deny_", context),
    ...ruleFilter(applied.allow, RBAC_Action.ALLOW, "istio_dry_run_allow_", context),
  ];
  const policies = [...applied.custom, ...applied.audit, ...applied.deny, ...applied.allow];
  return { filters, clusters: custom.clusters, origins: policies.map(resourceOrigin) };
}

interface Context<Filter> {
  readonly mesh: Mesh;
  readonly port: AuthorizedPort;
  readonly wrapping: Wrapping<Filter>;
}

function ruleFilter<Filter>(policies: readonly AuthorizationPolicy[], action: RBAC_Action, dryRunPrefix: string, context: Context<Filter>): readonly Filter[] {
  if (policies.length === 0) return [];
  const enforced = policies.filter((policy) => !isDryRun(policy));
  const dry = policies.filter(isDryRun);
  const sets: RuleSets = {
    ...(enforced.length === 0 ? {} : { rules: ruleSet(enforced, action, "", "", context) }),
    ...(dry.length === 0 ? {} : { shadowRules: ruleSet(dry, action, "", "", context), shadowRulesStatPrefix: dryRunPrefix }),
  };
  return [context.wrapping.rbac(sets)];
}

/**
 * For each provider an RBAC filter that decides nothing and notes which of its rules matched, and an ext_authz filter that asks where one did. What cannot be asked
 * is refused. Where policies name several providers, all of them must agree (Istio: behind PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS, else all is refused).
 */
function customFilters<Filter>(policies: readonly AuthorizationPolicy[], context: Context<Filter>): Pick<AuthorizationFilters<Filter>, "filters" | "clusters"> {
  const filters: Filter[] = [];
  const clusters: ClusterKey[] = [];
  const providers = [...new Set(policies.map(providerOf))].sort();
  for (const provider of providers) {
    const named = policies.filter((policy) => providerOf(policy) === provider);
    const enforced = named.filter((policy) => !isDryRun(policy));
    const prefix = customRulePrefix(provider);
    if (enforced.length < named.length) {
      const shadowRules = ruleSet(named.filter(isDryRun), RBAC_Action.DENY, prefix, "", context);
      filters.push(context.wrapping.rbac({ shadowRules, shadowRulesStatPrefix: "istio_dry_run_custom_" }));
    }
    if (enforced.length === 0) continue;
    const authorizer = authorizerNamed(context.mesh, provider);
    if (authorizer.kind === "unusable") {
      filters.push(context.wrapping.rbac({ rules: ruleSet(enforced, RBAC_Action.DENY, prefix, "-deny-due-to-bad-CUSTOM-action", context) }));
      continue;
    }
    const asking = context.wrapping.extAuthz(provider, authorizer);
    if (asking === undefined) continue;
    const shadowRules = ruleSet(enforced, RBAC_Action.DENY, prefix, "", context);
    filters.push(context.wrapping.rbac({ shadowRules, shadowRulesStatPrefix: CUSTOM_STAT_PREFIX }), asking);
    clusters.push(authorizer.destination);
  }
  return { filters, clusters };
}

function providerOf({ spec }: AuthorizationPolicy): string {
  return spec.provider?.name ?? "";
}

/** Names of rules are Istio's: they stand in the access log, `rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]`. */
function ruleSet<Filter>(
  policies: readonly AuthorizationPolicy[],
  action: RBAC_Action,
  prefix: string,
  suffix: string,
  { mesh: { settings }, port, wrapping }: Context<Filter>,
): RbacInit {
  const named = policies.flatMap(({ namespace, name, spec }): readonly [string, PolicyInit][] => {
    const ruleName = (index: number): string => `${prefix}ns[${namespace}]-policy[${name}]-rule[${index}]${suffix}`;
    if (spec.rules.length === 0) return [[ruleName(0), NEVER]];
    const trustDomains: RulePlace["trustDomains"] = [settings.trustDomain, ...settings.trustDomainAliases];
    const spelling = settings.defaults === "istio" ? "exact" : "any";
    const place: RulePlace = { transport: wrapping.transport, namespace, trustDomains, port, spelling };
    return spec.rules.flatMap((rule, index): readonly [string, PolicyInit][] => {
      const policy = rulePolicy(rule, action === RBAC_Action.ALLOW ? "allow" : "other", place);
      return policy === undefined ? [] : [[ruleName(index), policy]];
    });
  });
  return { action, policies: Object.fromEntries(named) };
}

type Made<Filter> = WeakMap<Mesh, Map<string, AuthorizationFilters<Filter>>>;

const HTTP_MADE: Made<HttpFilterInit> = new WeakMap();
const TCP_MADE: Made<NetworkFilterInit> = new WeakMap();

/** Ports bound where they are known give the same filters, whatever their number. */
function remembered<Filter>(
  made: Made<Filter>,
  mesh: Mesh,
  workload: SecuredWorkload,
  { known, bound }: AuthorizedPort,
  make: () => AuthorizationFilters<Filter>,
): AuthorizationFilters<Filter> {
  const ofMesh = made.get(mesh) ?? new Map<string, AuthorizationFilters<Filter>>();
  made.set(mesh, ofMesh);
  const key = `${known === bound ? "" : `${known}>${bound} `}${securityViewOf(workload)}`;
  const found = ofMesh.get(key) ?? make();
  ofMesh.set(key, found);
  return found;
}
