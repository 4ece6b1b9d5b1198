// One rule of an AuthorizationPolicy to one policy of Envoy's RBAC: who is calling (principals), and what is called (permissions).
import type { PolicySchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.js";
import type { AuthorizationCondition, AuthorizationOperation, AuthorizationRule, AuthorizationSource } from "../../model/authorization-policy.ts";
import type { Init } from "../init.ts";
import {
  type Attribute,
  bracketed,
  filterMetadata,
  PERMISSION_ATTRIBUTES,
  type PermissionInit,
  PRINCIPAL_ATTRIBUTES,
  type PrincipalInit,
  type RulePlace,
  requestClaim,
  requestHeader,
} from "./attributes.ts";

export type PolicyInit = Init<typeof PolicySchema>;

/** What a policy does when a rule matches, as far as translation cares: an ALLOW must not grow, all others must not shrink. */
export type RuleEffect = "allow" | "other";

/** Values of an attribute that must hold, and values that must not. */
interface Clause<Match> {
  readonly attribute: Attribute<Match>;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

/** The same logic in the words of permissions and of principals. */
interface Words<Match> {
  readonly any: Match;
  readonly and: (matches: readonly Match[]) => Match;
  readonly or: (matches: readonly Match[]) => Match;
  readonly not: (match: Match) => Match;
}

const PERMISSION: Words<PermissionInit> = {
  any: { rule: { case: "any", value: true } },
  and: (rules) => only(rules) ?? { rule: { case: "andRules", value: { rules: [...rules] } } },
  or: (rules) => only(rules) ?? { rule: { case: "orRules", value: { rules: [...rules] } } },
  not: (value) => ({ rule: { case: "notRule", value } }),
};

const PRINCIPAL: Words<PrincipalInit> = {
  any: { identifier: { case: "any", value: true } },
  and: (ids) => only(ids) ?? { identifier: { case: "andIds", value: { ids: [...ids] } } },
  or: (ids) => only(ids) ?? { identifier: { case: "orIds", value: { ids: [...ids] } } },
  not: (value) => ({ identifier: { case: "notId", value } }),
};

function only<Match>(matches: readonly Match[]): Match | undefined {
  return matches.length === 1 ? matches[0] : undefined;
}

/** Matches nothing: an ALLOW policy without rules. Its mere presence refuses what no other ALLOW policy lets through. */
export const NEVER: PolicyInit = { permissions: [PERMISSION.not(PERMISSION.any)], principals: [PRINCIPAL.not(PRINCIPAL.any)] };

/**
 * The rule, or undefined where it cannot hold here. What cannot be asked (a request's method of a TCP connection) makes a rule of an ALLOW policy void, and is left
 * out of any other's: rather refuse too much than let too much through. Source: Istio, rule.checkError of pilot/pkg/security/authz/model.
 */
export function rulePolicy(rule: AuthorizationRule, effect: RuleEffect, place: RulePlace): PolicyInit | undefined {
  const conditions = rule.when.map(conditionClause);
  if (conditions.includes(undefined)) return undefined;
  const ofPrincipal = conditions.flatMap((found) => (found?.kind === "principal" ? [found.clause] : []));
  const ofPermission = conditions.flatMap((found) => (found?.kind === "permission" ? [found.clause] : []));
  const sources = rule.from.length === 0 ? [undefined] : rule.from.map(({ source }) => source);
  const operations = rule.to.length === 0 ? [undefined] : rule.to.map(({ operation }) => operation);
  const principals = sources.map((source) => conjunction([...sourceClauses(source), ...ofPrincipal], PRINCIPAL, effect, place));
  const permissions = operations.map((operation) => conjunction([...operationClauses(operation), ...ofPermission], PERMISSION, effect, place));
  const complete = <Match>(matches: readonly (Match | undefined)[]): readonly Match[] => matches.filter((match): match is Match => match !== undefined);
  if (principals.includes(undefined) || permissions.includes(undefined)) return undefined;
  return { principals: [...complete(principals)], permissions: [...complete(permissions)] };
}

/** Undefined where one of the clauses cannot be asked and that makes the rule void. */
function conjunction<Match>(clauses: readonly Clause<Match>[], words: Words<Match>, effect: RuleEffect, place: RulePlace): Match | undefined {
  const terms: Match[] = [];
  for (const { attribute, values, notValues } of clauses) {
    const wanted = attribute.matches(values, effect === "allow" ? exactly(place) : place);
    const unwanted = attribute.matches(notValues, effect === "allow" ? place : exactly(place));
    if (effect === "allow" && (wanted.includes(undefined) || unwanted.includes(undefined))) return undefined;
    const known = (matches: readonly (Match | undefined)[]): readonly Match[] => matches.filter((match): match is Match => match !== undefined);
    if (known(wanted).length > 0) terms.push(words.or(known(wanted)));
    if (known(unwanted).length > 0) terms.push(words.not(words.or(known(unwanted))));
  }
  return words.and(terms.length === 0 ? [words.any] : terms);
}

/** What is let through by a path is let through in that spelling alone; what is refused by one, or excepted from what is let through, in every spelling. */
function exactly(place: RulePlace): RulePlace {
  return { ...place, spelling: "exact" };
}

function sourceClauses(source: AuthorizationSource | undefined): readonly Clause<PrincipalInit>[] {
  if (source === undefined) return [];
  return [
    clause(PRINCIPAL_ATTRIBUTES["source.principal"], source.principals, source.notPrincipals),
    clause(PRINCIPAL_ATTRIBUTES["request.auth.principal"], source.requestPrincipals, source.notRequestPrincipals),
    clause(PRINCIPAL_ATTRIBUTES["source.serviceAccount"], source.serviceAccounts, source.notServiceAccounts),
    clause(PRINCIPAL_ATTRIBUTES["source.trustDomain"], source.trustDomains, source.notTrustDomains),
    clause(PRINCIPAL_ATTRIBUTES["source.namespace"], source.namespaces, source.notNamespaces),
    clause(PRINCIPAL_ATTRIBUTES["remote.ip"], source.remoteIpBlocks, source.notRemoteIpBlocks),
    clause(PRINCIPAL_ATTRIBUTES["source.ip"], source.ipBlocks, source.notIpBlocks),
  ];
}

function operationClauses(operation: AuthorizationOperation | undefined): readonly Clause<PermissionInit>[] {
  if (operation === undefined) return [];
  return [
    clause(PERMISSION_ATTRIBUTES.host, operation.hosts, operation.notHosts),
    clause(PERMISSION_ATTRIBUTES.method, operation.methods, operation.notMethods),
    clause(PERMISSION_ATTRIBUTES.path, operation.paths, operation.notPaths),
    clause(PERMISSION_ATTRIBUTES["destination.port"], operation.ports, operation.notPorts),
  ];
}

function clause<Match>(attribute: Attribute<Match>, values: readonly string[], notValues: readonly string[]): Clause<Match> {
  return { attribute, values, notValues };
}

type ConditionClause =
  | { readonly kind: "principal"; readonly clause: Clause<PrincipalInit> }
  | { readonly kind: "permission"; readonly clause: Clause<PermissionInit> };

/** Undefined for a key that there is not: validation has said so. */
function conditionClause({ key, values, notValues }: AuthorizationCondition): ConditionClause | undefined {
  const principal = principalAttribute(key);
  if (principal !== undefined) return { kind: "principal", clause: clause(principal, values, notValues) };
  const permission = permissionAttribute(key);
  return permission && { kind: "permission", clause: clause(permission, values, notValues) };
}

function principalAttribute(key: string): Attribute<PrincipalInit> | undefined {
  if (hasOwn(PRINCIPAL_ATTRIBUTES, key)) return PRINCIPAL_ATTRIBUTES[key];
  const header = key.startsWith("request.headers") ? bracketed(key.slice("request.headers".length)) : undefined;
  if (header !== undefined) return requestHeader(header.length === 1 ? (header[0] ?? "") : key.slice("request.headers[".length, -1));
  const claims = key.startsWith("request.auth.claims") ? bracketed(key.slice("request.auth.claims".length)) : undefined;
  return claims && requestClaim(claims);
}

function permissionAttribute(key: string): Attribute<PermissionInit> | undefined {
  if (key === "destination.ip" || key === "destination.port" || key === "connection.sni") return PERMISSION_ATTRIBUTES[key];
  const [, filter, name] = /^experimental\.(envoy\.filters\.[^[]*)\[(.*?)\]?$/.exec(key) ?? [];
  return filter === undefined || name === undefined ? undefined : filterMetadata(filter, name);
}

function hasOwn<Key extends string>(table: Readonly<Record<Key, unknown>>, key: string): key is Key {
  return Object.hasOwn(table, key);
}
