// An AuthorizationPolicy as a whole. Source: Istio ValidateAuthorizationPolicy, checkDryRunAnnotation and pkg/config/security.
import type { AuthorizationCondition, AuthorizationOperation, AuthorizationRule, AuthorizationSource } from "../model/authorization-policy.ts";
import { nearest } from "../model/nearest.ts";
import type { AuthorizationPolicy, FieldPath } from "../model/resource.ts";
import { addressFault, portFault, serviceAccountFault, templateFault, trustDomainFault, wildcardFault } from "./authorization-values.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkTarget } from "./selectors.ts";

const CODE = "WEFT0387";

/** Everything that an AuthorizationPolicy by itself can get wrong. */
export function checkAuthorizationPolicy({ spec, annotations }: Pick<AuthorizationPolicy, "spec" | "annotations">): readonly Problem[] {
  const { action, provider, rules } = spec;
  const problems: Problem[] = [...checkDryRun(action, annotations), ...checkTarget(spec)];
  if (rules.length === 0 && (action === "DENY" || action === "CUSTOM"))
    problems.push(error(CODE, ["spec"], `action ${action} without rules never applies`, "add rules; `- {}` is a rule that every request meets"));
  if (action === "CUSTOM" && rules.length > 0 && (provider?.name ?? "") === "")
    problems.push(error(CODE, ["spec"], "action CUSTOM needs a provider", "write `provider: {name: …}`, as the MeshConfig names it"));
  if (action !== "CUSTOM" && provider !== undefined)
    problems.push(error(CODE, ["spec", "provider"], `action ${action} has no provider`, "write `action: CUSTOM`, or remove it"));
  for (const [index, rule] of rules.entries()) {
    const path = ["spec", "rules", index];
    problems.push(...checkRule(rule, path));
    if (action === "CUSTOM") problems.push(...checkCustom(rule, path));
    if (action === "DENY" && deniesTcp(rule))
      problems.push(
        warning(CODE, path, "a rule about HTTP alone denies every connection to a TCP port", "add `ports:` with the HTTP ports that it is meant for"),
      );
  }
  return problems;
}

const DRY_RUN = "istio.io/dry-run";
/** As Go reads a truth value. */
const TRUTH: ReadonlySet<string> = new Set("1 t T TRUE true True 0 f F FALSE false False".split(" "));

function checkDryRun(action: string, annotations: Readonly<Record<string, string>>): readonly Problem[] {
  const value = annotations[DRY_RUN];
  if (value === undefined) return [];
  const path = ["metadata", "annotations", DRY_RUN];
  if (action !== "ALLOW" && action !== "DENY")
    return [error(CODE, path, `action ${action} cannot be tried without effect`, "use ALLOW or DENY, or remove the annotation")];
  return TRUTH.has(value) ? [] : [error(CODE, path, `"${value}" is neither true nor false`, 'write "true" or "false"')];
}

function checkRule({ from, to, when }: AuthorizationRule, path: FieldPath): readonly Problem[] {
  return [
    ...from.flatMap(({ source }, index) => checkSource(source, [...path, "from", index])),
    ...to.flatMap(({ operation }, index) => checkOperation(operation, [...path, "to", index])),
    ...when.flatMap((condition, index) => checkCondition(condition, [...path, "when", index])),
  ];
}

type ValueFault = (value: string) => string | undefined;
const anyValue: ValueFault = () => undefined;

const SOURCE_VALUES: Readonly<Record<keyof AuthorizationSource, ValueFault>> = {
  principals: anyValue,
  notPrincipals: anyValue,
  requestPrincipals: anyValue,
  notRequestPrincipals: anyValue,
  namespaces: anyValue,
  notNamespaces: anyValue,
  serviceAccounts: serviceAccountFault,
  notServiceAccounts: serviceAccountFault,
  trustDomains: trustDomainFault,
  notTrustDomains: trustDomainFault,
  ipBlocks: addressFault,
  notIpBlocks: addressFault,
  remoteIpBlocks: addressFault,
  notRemoteIpBlocks: addressFault,
};

const OPERATION_VALUES: Readonly<Record<keyof AuthorizationOperation, ValueFault>> = {
  hosts: anyValue,
  notHosts: anyValue,
  ports: portFault,
  notPorts: portFault,
  methods: anyValue,
  notMethods: anyValue,
  paths: templateFault,
  notPaths: templateFault,
};

/** Arbitrary, to bound the size of a policy. */
const MAX_SERVICE_ACCOUNTS = 16;

function checkSource(source: AuthorizationSource | undefined, path: FieldPath): readonly Problem[] {
  if (source === undefined) return [error(CODE, path, "the entry of `from` has no source", "write `source:` with at least one field")];
  const at = [...path, "source"];
  const accounts = [...source.serviceAccounts, ...source.notServiceAccounts];
  const identities = [...source.principals, ...source.notPrincipals, ...source.namespaces, ...source.notNamespaces];
  const problems: Problem[] = [...checkLists(source, SOURCE_VALUES, "source", at)];
  if (accounts.length > 0 && identities.length > 0)
    problems.push(error(CODE, at, "serviceAccounts cannot be used together with principals or namespaces", "write two entries of `from`"));
  for (const field of ["serviceAccounts", "notServiceAccounts"] as const) {
    if (source[field].length > MAX_SERVICE_ACCOUNTS)
      problems.push(error(CODE, [...at, field], `${field} takes at most ${MAX_SERVICE_ACCOUNTS} entries`, "write several entries of `from`"));
  }
  return problems;
}

function checkOperation(operation: AuthorizationOperation | undefined, path: FieldPath): readonly Problem[] {
  if (operation === undefined) return [error(CODE, path, "the entry of `to` has no operation", "write `operation:` with at least one field")];
  return checkLists(operation, OPERATION_VALUES, "operation", [...path, "operation"]);
}

function checkLists<Field extends string>(
  lists: Readonly<Record<Field, readonly string[]>>,
  faults: Readonly<Record<Field, ValueFault>>,
  name: string,
  path: FieldPath,
): readonly Problem[] {
  const fields = Object.entries<readonly string[]>(lists);
  if (fields.every(([, values]) => values.length === 0)) return [error(CODE, path, `the ${name} is empty`, "set at least one field, or remove the entry")];
  const faultOf = new Map(Object.entries<ValueFault>(faults));
  return fields.flatMap(([field, values]) =>
    values.flatMap((value, index) => {
      const fault = value === "" ? `${field} has an empty value` : faultOf.get(field)?.(value);
      return fault === undefined ? [] : [error(CODE, [...path, field, index], fault, value === "" ? "remove it, or write a value" : fixOf(field))];
    }),
  );
}

function fixOf(field: string): string {
  if (/ip/i.test(field)) return "write an address, or a block such as 10.0.0.0/8";
  if (/ports/i.test(field)) return "write a port from 0 to 65535";
  if (/paths/i.test(field)) return "use {*} for one part of the path, and {**} for the rest, at the end";
  if (/accounts/i.test(field)) return "write serviceAccount, or namespace/serviceAccount, without *";
  return "use * at the beginning or at the end only";
}

/** What is checked of the values of a condition's key; undefined where any are right. */
const ATTRIBUTES: ReadonlyMap<string, ValueFault> = new Map([
  ["source.ip", addressFault],
  ["remote.ip", addressFault],
  ["source.namespace", anyValue],
  ["source.serviceAccount", serviceAccountFault],
  ["source.principal", anyValue],
  ["source.trustDomain", wildcardFault],
  ["request.auth.principal", anyValue],
  ["request.auth.audiences", anyValue],
  ["request.auth.presenter", anyValue],
  ["destination.ip", addressFault],
  ["destination.port", portFault],
  ["connection.sni", anyValue],
]);
/** `request.headers[x-user]`. */
const KEYED = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
/** Of the API's first version. */
const REPLACED: ReadonlyMap<string, string> = new Map([
  ["destination.namespace", "the policy's own namespace says it"],
  ["destination.name", "use `selector:`"],
  ["destination.user", "use `selector:`"],
]);

function checkCondition({ key, values, notValues }: AuthorizationCondition, path: FieldPath): readonly Problem[] {
  const at = [...path, "key"];
  if (key === "") return [error(CODE, path, "the condition has no key", "write `key: request.headers[x-user]`, or another attribute")];
  if (values.length === 0 && notValues.length === 0) return [error(CODE, path, "the condition has no values", "add values or notValues")];
  const keyed = KEYED.find((prefix) => key.startsWith(prefix));
  const fault = ATTRIBUTES.get(key);
  if (keyed === undefined && fault === undefined) {
    const instead = REPLACED.get(key) ?? (key.startsWith("destination.labels") ? "use `selector:`" : undefined);
    if (instead !== undefined) return [error(CODE, at, `the attribute ${key} is no more`, instead)];
    const meant = nearest(key, [...ATTRIBUTES.keys(), ...KEYED]);
    return [
      error(
        CODE,
        at,
        `there is no attribute "${key}"`,
        meant === undefined ? `use one of ${[...ATTRIBUTES.keys()].join(", ")}, request.headers[NAME], request.auth.claims[NAME]` : `did you mean \`${meant}\``,
      ),
    ];
  }
  const open = key.indexOf("[");
  if (keyed !== undefined && !(key.endsWith("]") && open > 0 && open < key.length - 2))
    return [error(CODE, at, `"${key}" lacks its name`, `write \`${keyed}[NAME]\``)];
  return (["values", "notValues"] as const).flatMap((field) =>
    (field === "values" ? values : notValues).flatMap((value, index) => {
      const what = value === "" ? `${field} has an empty value` : fault?.(value);
      return what === undefined ? [] : [error(CODE, [...path, field, index], what, "correct the value, or remove it")];
    }),
  );
}

/** An authorizer outside decides by the request alone: who sends it is not known to it. */
function checkCustom(rule: AuthorizationRule, path: FieldPath): readonly Problem[] {
  const identity = ["namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts", "trustDomains", "notTrustDomains"] as const;
  const fields = [...identity, "principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals"] as const;
  const sources = rule.from.flatMap(({ source }, index) =>
    fields
      .filter((field) => (source?.[field].length ?? 0) > 0)
      .map((field) => error(CODE, [...path, "from", index, "source", field], `action CUSTOM does not take ${field}`, "remove it")),
  );
  const keys = ["source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"];
  const conditions = rule.when.flatMap(({ key }, index) =>
    keys.includes(key) || key.startsWith("request.auth.")
      ? [error(CODE, [...path, "when", index, "key"], `action CUSTOM does not take the attribute ${key}`, "remove it")]
      : [],
  );
  return [...sources, ...conditions];
}

/** Attributes of HTTP are never true of a TCP connection, so that a rule of DENY that needs them is taken as met. */
function deniesTcp({ from, to }: AuthorizationRule): boolean {
  const tcpSources = [
    "principals",
    "notPrincipals",
    "ipBlocks",
    "notIpBlocks",
    "namespaces",
    "notNamespaces",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    "serviceAccounts",
    "notServiceAccounts",
  ] as const;
  const hasFrom = from.some(({ source }) => source !== undefined);
  const hasTo = to.some(({ operation }) => operation !== undefined);
  const tcpFrom = from.some(({ source }) => source !== undefined && tcpSources.some((field) => source[field].length > 0));
  const tcpTo = to.some(({ operation }) => operation !== undefined && operation.ports.length + operation.notPorts.length > 0);
  return (hasFrom && !hasTo && !tcpFrom) || (hasTo && !tcpTo);
}
