// What a proxy's filters of security do with a call: tokens, external authorizers, audit, deny, allow, in the order in which they stand. Filters and a call in;
// whether it is let through out, by which rule, and what that depends on where it cannot be known here.
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { type RBAC, RBAC_Action } from "../gen/envoy/config/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { JwtAuthenticationSchema, type JwtProvider } from "../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { RBACSchema as HttpRbacSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import type { MetadataMatcher } from "../gen/envoy/type/matcher/v3/metadata_pb.js";
import { type AuthorizedCall, type NotedMetadata, notedHolds, policyHolds, TOKEN_FILTER } from "./rbac.ts";
import { queryParameter } from "./request.ts";
import type { Truth } from "./truth.ts";

/** One rule of an AuthorizationPolicy, by the name that it has in Envoy: `ns[default]-policy[orders]-rule[0]`. */
export interface RuleName {
  readonly namespace: string;
  readonly policy: string;
  /** From 0. */
  readonly rule: number;
}

/** What a policy that is only tried would have decided. */
export interface TriedDecision {
  readonly action: "allow" | "deny" | "custom" | "audit";
  readonly would: "allow" | "deny" | "unknown";
  /** The rule that would have decided; absent where no rule of an ALLOW policy takes the call. */
  readonly rule?: RuleName;
}

export interface Authorization {
  /** `unknown`: it depends on what stands in `dependsOn`. */
  readonly decision: "allowed" | "denied" | "unknown";
  /** `nothing`: no policy asks. `rule`: the one in `rule`. `no-rule`: there are ALLOW policies, and none of their rules takes it. `token`: it does not hold here. */
  readonly by: "nothing" | "rule" | "no-rule" | "token";
  readonly rule?: RuleName;
  /** The ALLOW policies of which no rule takes it, as `namespace/name`. */
  readonly allowPolicies: readonly string[];
  /** All policies that were asked and are enforced, likewise. */
  readonly asked: readonly string[];
  /** What a request is answered where it is denied. */
  readonly status?: 401 | 403;
  readonly dependsOn: readonly string[];
  /** Rules of AUDIT policies that note it. */
  readonly audited: readonly RuleName[];
  readonly tried: readonly TriedDecision[];
  /** Whether the token goes on to the next program. */
  readonly tokenGoesOn: boolean;
}

/** A filter as it stands in a chain. */
export interface SecurityFilter {
  readonly name: string;
  readonly typedConfig: Any | undefined;
}

interface State {
  readonly noted: NotedMetadata;
  readonly asked: readonly string[];
  readonly dependsOn: readonly string[];
  readonly audited: readonly RuleName[];
  readonly tried: readonly TriedDecision[];
  readonly allowedBy?: RuleName;
  readonly denied?: Pick<Authorization, "by" | "rule" | "status" | "allowPolicies">;
  readonly tokenGoesOn: boolean;
}

/** Asks the filters of a chain in their order; others than those of security are passed by. */
export function authorize(filters: readonly SecurityFilter[], call: AuthorizedCall): Authorization {
  let state: State = { noted: {}, asked: [], dependsOn: [], audited: [], tried: [], tokenGoesOn: true };
  for (const { typedConfig } of filters) {
    if (typedConfig === undefined || state.denied !== undefined) continue;
    state = step(state, typedConfig, call);
  }
  const { asked, dependsOn, audited, tried, allowedBy, denied, tokenGoesOn } = state;
  const common = { allowPolicies: [], asked: [...new Set(asked)].sort(), audited, tried, tokenGoesOn };
  if (denied !== undefined) return { ...common, decision: "denied", dependsOn: [], ...denied };
  const unknown = [...new Set(dependsOn)];
  if (unknown.length > 0) return { ...common, decision: "unknown", by: "nothing", dependsOn: unknown };
  return { ...common, decision: "allowed", dependsOn: [], ...(allowedBy === undefined ? { by: "nothing" } : { by: "rule", rule: allowedBy }) };
}

function step(state: State, { typeUrl, value }: Any, call: AuthorizedCall): State {
  const is = (schema: { readonly typeName: string }): boolean => typeUrl.endsWith(`/${schema.typeName}`);
  if (is(JwtAuthenticationSchema)) return checkToken(state, Object.values(fromBinary(JwtAuthenticationSchema, value).providers), call);
  if (is(HttpRbacSchema)) return decide(state, "envoy.filters.http.rbac", fromBinary(HttpRbacSchema, value), call);
  if (is(NetworkRbacSchema)) return decide(state, "envoy.filters.network.rbac", fromBinary(NetworkRbacSchema, value), call);
  if (is(HttpExtAuthzSchema)) return askAuthorizer(state, fromBinary(HttpExtAuthzSchema, value).filterEnabledMetadata, call);
  if (is(NetworkExtAuthzSchema)) return askAuthorizer(state, fromBinary(NetworkExtAuthzSchema, value).filterEnabledMetadata, call);
  return state;
}

/** A token that is there must be one of a provider's issuer and for one of its audiences; its claims are noted for the filters to come. */
function checkToken(state: State, providers: readonly JwtProvider[], { token, request }: AuthorizedCall): State {
  if (token.kind === "as-sent") {
    const looking = providers.filter((provider) => bringsToken(request, provider));
    if (looking.length === 0) return state;
    const dependsOn = [...state.dependsOn, "whether the request's token holds"];
    return {
      ...state,
      dependsOn,
      noted: { ...state.noted, [TOKEN_FILTER]: "unknown" },
      tokenGoesOn: looking.every(({ forward }) => forward),
    };
  }
  const { claims } = token;
  const ofIssuer = providers.filter(({ issuer }) => issuer === "" || issuer === claims.iss);
  const audiences = [claims.aud].flat();
  const taking = ofIssuer.find((provider) => provider.audiences.length === 0 || provider.audiences.some((audience) => audiences.includes(audience)));
  if (taking === undefined) return { ...state, denied: { by: "token", status: ofIssuer.length === 0 ? 401 : 403, allowPolicies: [] } };
  const payload = listsIn(claims, taking.normalizePayloadInMetadata?.spaceDelimitedClaims ?? []);
  return { ...state, noted: { ...state.noted, [TOKEN_FILTER]: { [taking.payloadInMetadata]: payload } }, tokenGoesOn: taking.forward };
}

/** Whether there is something where a provider looks for its tokens. Source: Envoy, jwt_authn/extractor.cc, with the places that it looks at where none is named. */
function bringsToken({ headers, path }: AuthorizedCall["request"], { fromHeaders, fromParams, fromCookies }: JwtProvider): boolean {
  const named = fromHeaders.length + fromParams.length + fromCookies.length > 0;
  const places = named ? fromHeaders : [{ name: "authorization", valuePrefix: "Bearer " }];
  const cookies = (headers.cookie ?? []).flatMap((line) => line.split(";").map((pair) => pair.trim().split("=")[0]));
  return (
    places.some(({ name, valuePrefix }) => headers[name.toLowerCase()]?.some((value) => value.includes(valuePrefix.trim())) === true) ||
    (named ? fromParams : ["access_token"]).some((name) => queryParameter(path, name) !== undefined) ||
    fromCookies.some((name) => cookies.includes(name))
  );
}

function listsIn(claims: Readonly<Record<string, unknown>>, spaceDelimited: readonly string[]): Readonly<Record<string, unknown>> {
  const divided = spaceDelimited.flatMap((name): readonly (readonly [string, unknown])[] => {
    const value = claims[name];
    return typeof value === "string" ? [[name, value.split(" ")]] : [];
  });
  return { ...claims, ...Object.fromEntries(divided) };
}

interface RuleSets {
  readonly rules?: RBAC;
  readonly shadowRules?: RBAC;
  readonly shadowRulesStatPrefix: string;
}

function decide(before: State, filter: string, { rules, shadowRules, shadowRulesStatPrefix }: RuleSets, call: AuthorizedCall): State {
  const tried = shadowRules === undefined ? before : tryOut(before, filter, shadowRules, shadowRulesStatPrefix, call);
  if (rules === undefined) return tried;
  const { taken, unknown, names } = evaluate(rules, call, tried.noted);
  const state = rules.action === RBAC_Action.LOG ? tried : { ...tried, asked: [...tried.asked, ...policiesOf(names)] };
  const rule = ruleNamed(taken);
  switch (rules.action) {
    case RBAC_Action.LOG:
      return rule === undefined ? state : { ...state, audited: [...state.audited, rule] };
    case RBAC_Action.DENY:
      if (rule !== undefined) return { ...state, denied: { by: "rule", rule, status: 403, allowPolicies: [] } };
      return { ...state, dependsOn: [...state.dependsOn, ...unknown] };
    case RBAC_Action.ALLOW:
      if (rule !== undefined) return { ...state, allowedBy: rule };
      if (unknown.length > 0) return { ...state, dependsOn: [...state.dependsOn, ...unknown] };
      return { ...state, denied: { by: "no-rule", status: 403, allowPolicies: policiesOf(names) } };
  }
}

/** What is only tried is told; what notes which requests an authorizer is asked about is noted. */
function tryOut(state: State, filter: string, rules: RBAC, prefix: string, call: AuthorizedCall): State {
  const { taken, unknown, names } = evaluate(rules, call, state.noted);
  const rule = ruleNamed(taken);
  const action = /^istio_dry_run_(allow|deny|custom|audit)_$/.exec(prefix)?.[1];
  if (action === "allow" || action === "deny" || action === "custom" || action === "audit") {
    const matched = action === "allow" ? "allow" : "deny";
    const would = rule !== undefined ? matched : unknown.length > 0 ? "unknown" : action === "allow" ? "deny" : "allow";
    return { ...state, tried: [...state.tried, { action, would, ...(rule === undefined ? {} : { rule }) }] };
  }
  const dependsOn = taken === undefined ? [...state.dependsOn, ...unknown] : state.dependsOn;
  const own = taken === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: taken };
  const before = state.noted[filter];
  return {
    ...state,
    asked: [...state.asked, ...policiesOf(names)],
    dependsOn,
    noted: { ...state.noted, [filter]: { ...(before === "unknown" ? {} : before), ...own } },
  };
}

function askAuthorizer(state: State, asked: MetadataMatcher | undefined, call: AuthorizedCall): State {
  const where: Truth = asked === undefined ? true : notedHolds(asked, call, state.noted);
  if (where === false) return state;
  const beginning = asked?.value?.matchPattern.case === "stringMatch" ? asked.value.matchPattern.value.matchPattern.value : "";
  const provider = /^istio-ext-authz-(.*)-ns\[$/.exec(String(beginning))?.[1] ?? "an external authorizer";
  return { ...state, dependsOn: [...state.dependsOn, `what the authorizer ${provider} answers`] };
}

/** Envoy asks the policies in the order of their names. */
function evaluate(
  { policies }: RBAC,
  call: AuthorizedCall,
  noted: NotedMetadata,
): { readonly taken?: string; readonly unknown: readonly string[]; readonly names: readonly string[] } {
  const names = Object.keys(policies).sort();
  const unknown: string[] = [];
  for (const name of names) {
    const policy = policies[name];
    const truth = policy === undefined ? false : policyHolds(policy, call, noted);
    if (truth === true) return { taken: name, unknown: [], names };
    if (truth !== false) unknown.push(...truth.unknown);
  }
  return { unknown, names };
}

function ruleNamed(name: string | undefined): RuleName | undefined {
  const [, namespace, policy, rule] = /ns\[(.*?)\]-policy\[(.*?)\]-rule\[(\d+)\]/.exec(name ?? "") ?? [];
  return namespace === undefined || policy === undefined || rule === undefined ? undefined : { namespace, policy, rule: Number(rule) };
}

function policiesOf(names: readonly string[]): readonly string[] {
  return [...new Set(names.flatMap((name) => ruleNamed(name) ?? []).map(({ namespace, policy }) => `${namespace}/${policy}`))].sort();
}
