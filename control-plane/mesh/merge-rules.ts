// Several DestinationRules for one host: those of one namespace that are for the same callers become one.
import { compareText } from "../model/diagnostic.ts";
import type { DestinationRule } from "../model/resource.ts";
import { type HostNames, resolveHostname } from "./hosts.ts";
import type { MergedRule } from "./mesh.ts";
import { inOrder, type Precedence } from "./order.ts";

/** Rules by fully qualified host, in byte order; those of a host in order of precedence, which the merge keeps. */
export function rulesByHost(rules: readonly DestinationRule[], names: HostNames, precedence: Precedence): ReadonlyMap<string, readonly MergedRule[]> {
  const byHost = new Map<string, MergedRule[]>();
  for (const rule of inOrder(rules, precedence)) {
    const hostname = resolveHostname(names, rule.spec.host, rule.namespace);
    const merged = byHost.get(hostname) ?? [];
    byHost.set(hostname, merged);
    addRule(merged, rule);
  }
  return new Map([...byHost].sort(([a], [b]) => compareText(a, b)));
}

/**
 * The first rule's trafficPolicy and subsets count; a later one adds the subsets that are missing, and its trafficPolicy where there is none. Rules for other
 * callers (another workloadSelector, another exportTo) stand apart; one that is exported further than an earlier one both adds to it and stands apart.
 * Source: Istio, mergeDestinationRule, with EnableEnhancedDestinationRuleMerge.
 */
function addRule(merged: MergedRule[], rule: DestinationRule): void {
  const audience = audienceOf(rule);
  let apart = true;
  merged.forEach((existing, index) => {
    if (existing.namespace !== rule.namespace || selectorText(existing) !== selectorText(rule)) return;
    const known = audienceOf(existing);
    const same = known.size === audience.size && [...known].every((namespace) => audience.has(namespace));
    const wider = known.size > 0 && [...known].every((namespace) => audience.has(namespace));
    if (!same && !wider) return;
    if (same) apart = false;
    merged[index] = join(existing, rule);
  });
  if (apart) merged.push({ ...rule, from: [rule] });
}

function join(first: MergedRule, second: DestinationRule): MergedRule {
  const { spec } = first;
  const names = new Set(spec.subsets.map(({ name }) => name));
  const subsets = [...spec.subsets, ...second.spec.subsets.filter(({ name }) => !names.has(name))];
  const trafficPolicy = spec.trafficPolicy ?? second.spec.trafficPolicy;
  return { ...first, spec: { ...spec, subsets, ...(trafficPolicy === undefined ? {} : { trafficPolicy }) }, from: [...first.from, second] };
}

/** A rule for some workloads is its namespace's alone. */
function audienceOf({ spec }: DestinationRule): ReadonlySet<string> {
  return new Set(spec.workloadSelector === undefined ? spec.exportTo : ["."]);
}

function selectorText({ spec }: DestinationRule): string {
  const { workloadSelector } = spec;
  return workloadSelector === undefined ? "" : JSON.stringify(Object.entries(workloadSelector.matchLabels).sort(([a], [b]) => compareText(a, b)));
}
