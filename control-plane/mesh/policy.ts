// Which DestinationRule applies to a destination, and what it says for one port and subset.
import type { ConnectionPool, LoadBalancer, OutlierDetection, PortTrafficPolicy, Subset, TrafficPolicy } from "../model/destination-rule.ts";
import { hostMatches, isExported, ROOT_NAMESPACES } from "./hosts.ts";
import type { MergedRule, Mesh } from "./mesh.ts";
import { visibleHost } from "./scope.ts";
import { selects } from "./selection.ts";

/** The settings that hold for one port of one subset; what is absent falls to the mesh's defaults. */
export interface EffectivePolicy {
  readonly loadBalancer?: LoadBalancer;
  readonly connectionPool?: ConnectionPool;
  readonly outlierDetection?: OutlierDetection;
  readonly tls?: NonNullable<TrafficPolicy["tls"]>;
  readonly retryBudget?: NonNullable<TrafficPolicy["retryBudget"]>;
  readonly proxyProtocol?: NonNullable<TrafficPolicy["proxyProtocol"]>;
  readonly tunnel?: NonNullable<TrafficPolicy["tunnel"]>;
}

/** Who calls: rules are looked up from its namespace, and a rule's workloadSelector looks at its labels. */
export interface Client {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The rule for requests from a client to a host: the client's namespace first, then the service's, then the root namespaces; in each the most specific host,
 * of its rules one that selects the client before one that selects nobody in particular, then the first in order of precedence.
 * Source: Istio, "Cross namespace configuration sharing: destination rule lookup".
 */
export function destinationRuleFor(mesh: Mesh, client: Client, hostname: string): MergedRule | undefined {
  const host = mesh.hosts.get(hostname);
  const candidates = candidateRules(mesh, host?.aliasOf ?? hostname);
  if (candidates.length === 0) return undefined;
  // What a root namespace exports is for everybody: for clients there too the service's namespace comes before it. Source: Istio, PushContext.destinationRule.
  const own = ruleOf(candidates, client.namespace, client, ROOT_NAMESPACES.includes(client.namespace));
  if (own !== undefined) return own;
  const serviceNamespace = serviceNamespaceOf(mesh, client, hostname);
  for (const namespace of [...(serviceNamespace === undefined ? [] : [serviceNamespace]), ...ROOT_NAMESPACES]) {
    const found = ruleOf(candidates, namespace, client, false);
    if (found !== undefined) return found;
  }
  return undefined;
}

function ruleOf(candidates: readonly (readonly MergedRule[])[], namespace: string, client: Client, privateOnly: boolean): MergedRule | undefined {
  for (const rules of candidates) {
    let whole: MergedRule | undefined;
    for (const rule of rules) {
      if (rule.namespace !== namespace || !isExported(rule.spec.exportTo, namespace, client.namespace)) continue;
      if (privateOnly && !isPrivate(rule)) continue;
      if (rule.spec.workloadSelector === undefined) whole ??= rule;
      // One for some workloads is for those of its own namespace. Source: Istio reference, DestinationRule.workloadSelector.
      else if (namespace === client.namespace && selects(rule.spec.workloadSelector.matchLabels, client.labels)) return rule;
    }
    if (whole !== undefined) return whole;
  }
  return undefined;
}

function isPrivate({ namespace, spec }: MergedRule): boolean {
  return spec.workloadSelector !== undefined || (spec.exportTo.length > 0 && spec.exportTo.every((target) => target === "." || target === namespace));
}

/** Where the host that counts for the client is from. */
function serviceNamespaceOf(mesh: Mesh, client: Client, hostname: string): string | undefined {
  return mesh.namesakes.has(hostname) || !mesh.hosts.has(hostname)
    ? visibleHost(mesh, hostname, client.namespace)?.namespace
    : mesh.hosts.get(hostname)?.namespace;
}

/** Rules whose host covers the name, per host: the exact one, then wildcards from the longest to the shortest. */
function candidateRules(mesh: Mesh, hostname: string): readonly (readonly MergedRule[])[] {
  const patterns = [hostname, ...mesh.destinationRuleWildcards.filter((pattern) => hostMatches(pattern, hostname))];
  return patterns.flatMap((pattern) => {
    const rules = mesh.destinationRules.get(pattern);
    return rules === undefined ? [] : [rules];
  });
}

/** The subset of a rule; undefined where the rule or the subset does not exist. */
export function subsetOf(rule: MergedRule | undefined, name: string): Subset | undefined {
  return rule?.spec.subsets.find((subset) => subset.name === name);
}

/**
 * The policy of one port and subset (`""` for the whole host). A subset's setting replaces the destination's setting of the same name; a port's settings
 * replace all of them together, also by absence. Source: Istio, pilot/pkg/networking/util MergeTrafficPolicy.
 */
export function policyFor(rule: MergedRule | undefined, port: number, subset: string): EffectivePolicy {
  const whole = withPort({}, rule?.spec.trafficPolicy, port);
  const part = subset === "" ? undefined : subsetOf(rule, subset)?.trafficPolicy;
  return part === undefined ? whole : withPort(whole, part, port);
}

function withPort(base: EffectivePolicy, policy: TrafficPolicy | undefined, port: number): EffectivePolicy {
  if (policy === undefined) return base;
  const { retryBudget, proxyProtocol, tunnel } = policy;
  const rest = {
    ...pick(base, "retryBudget", "proxyProtocol", "tunnel"),
    ...(retryBudget && { retryBudget }),
    ...(proxyProtocol && { proxyProtocol }),
    ...(tunnel && { tunnel }),
  };
  const ofPort = policy.portLevelSettings.find((settings) => settings.port?.number === port);
  if (ofPort !== undefined) return { ...rest, ...portSettings(ofPort) };
  return { ...base, ...rest, ...portSettings(policy) };
}

function portSettings({ loadBalancer, connectionPool, outlierDetection, tls }: TrafficPolicy | PortTrafficPolicy): EffectivePolicy {
  return {
    ...(loadBalancer && { loadBalancer }),
    ...(connectionPool && { connectionPool }),
    ...(outlierDetection && { outlierDetection }),
    ...(tls && { tls }),
  };
}

function pick(policy: EffectivePolicy, ...keys: readonly ("retryBudget" | "proxyProtocol" | "tunnel")[]): EffectivePolicy {
  return Object.fromEntries(keys.flatMap((key) => (policy[key] === undefined ? [] : [[key, policy[key]]])));
}
