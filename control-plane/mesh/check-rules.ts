// Whether DestinationRules apply to something: their hosts, their subsets, and what two of them or two of their settings do to each other.
import type { Diagnostic } from "../model/diagnostic.ts";
import { nearest } from "../model/nearest.ts";
import { type Deployment, type DestinationRule, type FieldPath, resourceLabel } from "../model/resource.ts";
import { endpointsOf } from "./destination.ts";
import { hostMatches, resolveHostname } from "./hosts.ts";
import { localityPlan } from "./locality.ts";
import type { Host, Mesh } from "./mesh.ts";
import { destinationRuleFor, policyFor } from "./policy.ts";
import { visibleHost, wildcardHosts } from "./scope.ts";
import { selects } from "./selection.ts";

type Severity = Diagnostic["severity"];

function finding(code: string, severity: Severity, rule: DestinationRule, path: FieldPath, what: string, fix: string): Diagnostic {
  return { code, severity, origin: rule.locate(path), resource: resourceLabel(rule), what, fix };
}

/** A rule for a host that nothing has is without effect. */
export function ruleHostsAreKnown(mesh: Mesh): readonly Diagnostic[] {
  return allRules(mesh).flatMap(({ rule, hostname }) => {
    if (
      mesh.hosts.has(hostname) ||
      wildcardHosts(mesh).some((host) => hostMatches(host.hostname, hostname)) ||
      (hostname.startsWith("*") && [...mesh.hosts.keys()].some((known) => hostMatches(hostname, known)))
    )
      return [];
    const beside = [...mesh.hosts.values()].filter(({ namespace }) => namespace === rule.namespace).map(({ name }) => name);
    const near = nearest(rule.spec.host, beside) ?? nearest(hostname, mesh.hosts.keys());
    const what = hostname.startsWith("*")
      ? `no Service or ServiceEntry matches ${hostname}, so the rule has no effect`
      : `no Service or ServiceEntry is called ${hostname}, so the rule has no effect`;
    return [
      finding("WEFT0408", "warning", rule, ["spec", "host"], what, near === undefined ? "create the Service, or name one that exists" : `did you mean ${near}`),
    ];
  });
}

/** Of several rules for one host the first gives the trafficPolicy and wins where subsets are called alike; what the others have beyond that is added. */
export function mergedRulesAgree(mesh: Mesh): readonly Diagnostic[] {
  return [...mesh.destinationRules.values()].flat().flatMap(({ from: [first, ...others] }) => {
    const findings: Diagnostic[] = [];
    let policy = first.spec.trafficPolicy === undefined ? undefined : first;
    const subsets = new Map(first.spec.subsets.map(({ name }) => [name, first]));
    for (const rule of others) {
      const { trafficPolicy } = rule.spec;
      if (trafficPolicy !== undefined && policy !== undefined) {
        const what = `${rule.spec.host} has a trafficPolicy already, of ${placed(policy)}: that one counts and this one does not`;
        findings.push(finding("WEFT0409", "warning", rule, ["spec", "trafficPolicy"], what, "put the settings of both into one DestinationRule"));
      }
      if (trafficPolicy !== undefined) policy ??= rule;
      rule.spec.subsets.forEach(({ name }, index) => {
        const owner = subsets.get(name);
        if (owner === undefined) subsets.set(name, rule);
        else if (owner !== rule) {
          const what = `${rule.spec.host} has a subset ${name} already, of ${placed(owner)}: that one counts and this one does not`;
          findings.push(finding("WEFT0420", "warning", rule, ["spec", "subsets", index, "name"], what, "give the subset another name, or leave it out"));
        }
      });
    }
    return findings;
  });
}

function placed(rule: DestinationRule): string {
  return `${resourceLabel(rule)} (${rule.origin.file}:${rule.origin.line})`;
}

/**
 * A subset without endpoints is left out of its routes and the rest take its share; where all are empty, requests are answered 503. Said about rules that
 * apply to a Service beside them; a subset whose workload is only not ready is news, one that nothing can ever match a likely slip.
 */
export function subsetsSelectSomething(mesh: Mesh, deployments: readonly Deployment[]): readonly Diagnostic[] {
  return allRules(mesh).flatMap(({ rule, hostname }) => {
    const host = visibleHost(mesh, hostname, rule.namespace);
    const client = { namespace: rule.namespace, labels: rule.spec.workloadSelector?.matchLabels ?? {} };
    const merged = destinationRuleFor(mesh, client, hostname);
    if (host === undefined || merged?.from.includes(rule) !== true) return [];
    return rule.spec.subsets.flatMap(({ name, labels }, index) => {
      // Names that are found as they are asked for cannot be told apart by labels, nor be known to have none.
      if (host.resolution === "dynamic-dns" || host.resolution === "original") return [];
      if (host.ports.some(({ number }) => endpointsOf(host, merged, number, name).length > 0)) return [];
      const path = ["spec", "subsets", index, "labels"];
      const text = Object.entries(labels).map(([key, value]) => `${key}: ${value}`);
      const left = "it is left out of routes, and the other destinations take its share";
      if (workloadLabels(mesh, host, deployments).some((carried) => Object.entries(labels).every(([key, value]) => carried[key] === value))) {
        const what = `the subset ${name} has no endpoint that is ready: ${left}`;
        return [finding("WEFT0405", "info", rule, path, what, "wait until one is ready, or start its workload")];
      }
      const what = `no workload of the ${host.service.kind} ${host.hostname} carries the labels {${text.join(", ")}} of the subset ${name}: ${left}`;
      return [finding("WEFT0405", "warning", rule, path, what, nearestLabels(labels, workloadLabels(mesh, host, deployments)))];
    });
  });
}

/** Labels of all that is, or is to be, behind a host. */
function workloadLabels(mesh: Mesh, host: Host, deployments: readonly Deployment[]): readonly Readonly<Record<string, string>>[] {
  const { service } = host;
  if (service.kind === "ServiceEntry" && service.spec.workloadSelector === undefined) return service.spec.endpoints.map(({ labels }) => labels);
  const selector = service.kind === "Service" ? service.spec.selector : (service.spec.workloadSelector?.labels ?? {});
  const wanted = deployments
    .filter(({ namespace, spec }) => namespace === host.namespace && spec.replicas > 0)
    .map(({ spec }) => spec.template.metadata.labels);
  const running = mesh.instances.filter(({ namespace }) => namespace === host.namespace).map(({ labels }) => labels);
  return [...wanted, ...running].filter((labels) => selects(selector, labels));
}

function nearestLabels(labels: Readonly<Record<string, string>>, carried: readonly Readonly<Record<string, string>>[]): string {
  for (const [key, value] of Object.entries(labels)) {
    const values = [...new Set(carried.map((of) => of[key]).filter((of) => of !== undefined))];
    if (values.includes(value)) continue;
    const near = nearest(value, values);
    if (near !== undefined) return `did you mean ${key}: ${near}`;
    if (values.length > 0) return `the workloads have ${key}: ${values.sort().join(", ")}`;
  }
  return "give a Deployment's pod template these labels";
}

/** Limits count per cluster, so a destination with limits is one cluster, and its traffic is not divided over zones. */
export function limitsKeepTrafficTogether(mesh: Mesh): readonly Diagnostic[] {
  return allRules(mesh).flatMap(({ rule, hostname }) => {
    const ports = mesh.hosts.get(hostname)?.ports ?? [];
    const subsets = ["", ...rule.spec.subsets.map(({ name }) => name)];
    const kept = ports.some(({ number }) =>
      subsets.some((subset) => {
        const policy = policyFor({ ...rule, from: [rule] }, number, subset);
        const { connectionPool, ...unlimited } = policy;
        return connectionPool !== undefined && divides(mesh, unlimited) && !divides(mesh, policy);
      }),
    );
    if (!kept) return [];
    const what =
      "connectionPool limits hold for a destination as a whole, so its traffic is not divided over zones: near endpoints come first, weights of distribute hold inside one cluster";
    return [finding("WEFT0411", "info", rule, ["spec", "trafficPolicy", "connectionPool"], what, "leave the limits out if the split matters more")];
  });
}

function divides(mesh: Mesh, policy: Parameters<typeof localityPlan>[1]): boolean {
  const plan = localityPlan(mesh.settings, policy);
  return plan.kind === "distribute" || (plan.kind === "priorities" && plan.split);
}

/** As they are written. */
function allRules(mesh: Mesh): readonly { readonly rule: DestinationRule; readonly hostname: string }[] {
  const written = new Set([...mesh.destinationRules.values()].flat().flatMap(({ from }) => from));
  return [...written].map((rule) => ({ rule, hostname: resolveHostname(mesh, rule.spec.host, rule.namespace) }));
}
