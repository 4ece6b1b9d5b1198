// Which DestinationRule applies to a destination, and what it says for one port and subset.
import type { ConnectionPool, LoadBalancer, OutlierDetection, PortTrafficPolicy, Subset, TrafficPolicy } from "../model/destination-rule.ts";
import type { DestinationRule } from "../model/resource.ts";
import { hostMatches, isExported, ROOT_NAMESPACES } from "./hosts.ts";
import type { Mesh } from "./mesh.ts";
import { selects } from "./services.ts";

/** The settings that hold for one port of one subset; what is absent falls to the mesh's defaults. */
export interface EffectivePolicy {
  readonly loadBalancer?: LoadBalancer;
  readonly connectionPool?: ConnectionPool;
  readonly outlierDetection?: OutlierDetection;
  readonly tls?: NonNullable<TrafficPolicy["tls"]>;
  readonly retryBudget?: NonNullable<TrafficPolicy["retryBudget"]>;
  readonly proxyProtocol?: NonNullable<TrafficPolicy["proxyProtocol"]>;
}

/** Who calls: rules are looked up from its namespace, and a rule's workloadSelector looks at its labels. */
export interface Client {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The rule for requests from a client to a host: the client's namespace first, then the service's, then the root namespaces; in each the most specific host,
 * of its rules one that selects the client before one that selects nobody in particular, then the first by name.
 * Source: Istio, "Cross namespace configuration sharing: destination rule lookup".
 */
export function destinationRuleFor(mesh: Mesh, client: Client, hostname: string): DestinationRule | undefined {
  const candidates = candidateRules(mesh, hostname);
  if (candidates.length === 0) return undefined;
  const serviceNamespace = mesh.hosts.get(hostname)?.namespace;
  const places = [client.namespace, ...(serviceNamespace === undefined ? [] : [serviceNamespace]), ...ROOT_NAMESPACES];
  for (const namespace of places) {
    const here = candidates.map((rules) => rules.filter((rule) => rule.namespace === namespace && isExported(rule.spec.exportTo, namespace, client.namespace)));
    const found = here.map((rules) => rules.find((rule) => selectsClient(rule, client)) ?? rules.find(({ spec }) => spec.workloadSelector === undefined));
    const first = found.find((rule) => rule !== undefined);
    if (first !== undefined) return first;
  }
  return undefined;
}

/** A rule with a workloadSelector is for clients of its own namespace only. Source: Istio reference, DestinationRule.workloadSelector. */
function selectsClient({ namespace, spec }: DestinationRule, client: Client): boolean {
  return spec.workloadSelector !== undefined && namespace === client.namespace && selects(spec.workloadSelector.matchLabels, client.labels);
}

/** Rules whose host covers the name, per host: the exact one, then wildcards from the longest to the shortest. */
function candidateRules(mesh: Mesh, hostname: string): readonly (readonly DestinationRule[])[] {
  const patterns = [hostname, ...mesh.destinationRuleWildcards.filter((pattern) => hostMatches(pattern, hostname))];
  return patterns.flatMap((pattern) => {
    const rules = mesh.destinationRules.get(pattern);
    return rules === undefined ? [] : [rules];
  });
}

/** The subset of a rule; undefined where the rule or the subset does not exist. */
export function subsetOf(rule: DestinationRule | undefined, name: string): Subset | undefined {
  return rule?.spec.subsets.find((subset) => subset.name === name);
}

/**
 * The policy of one port and subset (`""` for the whole host). A subset's setting replaces the destination's setting of the same name; a port's settings
 * replace all of them together, also by absence. Source: Istio, pilot/pkg/networking/util MergeTrafficPolicy.
 */
export function policyFor(rule: DestinationRule | undefined, port: number, subset: string): EffectivePolicy {
  const whole = withPort({}, rule?.spec.trafficPolicy, port);
  const part = subset === "" ? undefined : subsetOf(rule, subset)?.trafficPolicy;
  return part === undefined ? whole : withPort(whole, part, port);
}

function withPort(base: EffectivePolicy, policy: TrafficPolicy | undefined, port: number): EffectivePolicy {
  if (policy === undefined) return base;
  const { retryBudget, proxyProtocol } = policy;
  const rest = { ...pick(base, "retryBudget", "proxyProtocol"), ...(retryBudget && { retryBudget }), ...(proxyProtocol && { proxyProtocol }) };
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

function pick(policy: EffectivePolicy, ...keys: readonly ("retryBudget" | "proxyProtocol")[]): EffectivePolicy {
  return Object.fromEntries(keys.flatMap((key) => (policy[key] === undefined ? [] : [[key, policy[key]]])));
}
