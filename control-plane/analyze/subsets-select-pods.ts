// DestinationRules for hosts that nobody declares (IST0174), and subsets that no pod belongs to (IST0173).
// Source: Istio analyzers/destinationrule, subset.go.
import type { Finding } from "./finding.ts";
import { type AnalysisInput, documentsOf, type Pod } from "./input.ts";
import { selectorText, selects } from "./selection.ts";
import { findHost, knownHosts } from "./service-hosts.ts";

export function subsetsSelectPods(input: AnalysisInput): readonly Finding[] {
  const hosts = knownHosts(input);
  const nodes = new Map(documentsOf(input, "", "Node").map(({ name, labels }) => [name, labels]));
  const pods = input.pods.map((pod) => ({ ...topologyLabels(pod, nodes), ...pod.labels }));
  return input.destinationRules.flatMap((rule) => {
    const { host, exportTo, subsets } = rule.spec;
    const known = findHost(hosts, host, rule.namespace, exportTo);
    if (known === undefined) {
      const what = `no Service and no ServiceEntry has the host ${host}`;
      return [{ code: "IST0174", severity: "warning" as const, subject: rule, path: ["spec", "host"], what, fix: "correct the host, or create the Service" }];
    }
    // The last subset of a name is the one that counts.
    const byName = new Map(subsets.map((subset, index) => [subset.name, { index, labels: { ...known.workloadLabels, ...subset.labels } }]));
    return [...byName].flatMap(([name, { index, labels }]): readonly Finding[] => {
      if (pods.some((pod) => selects(labels, pod))) return [];
      const what = `the subset ${name} has no pods: none has the labels ${selectorText(labels)}`;
      return [
        {
          code: "IST0173",
          severity: "error",
          subject: rule,
          path: ["spec", "subsets", index, "labels"],
          what,
          fix: "correct the labels, or start a workload that has them",
        },
      ];
    });
  });
}

const REGION = ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];
const ZONE = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
const SUBZONE = ["topology.istio.io/subzone"];

/** What a pod has from its node, as if they were labels of its own. */
function topologyLabels({ spec }: Pod, nodes: ReadonlyMap<string, Readonly<Record<string, string>>>): Readonly<Record<string, string>> {
  const node = nodes.get(spec.nodeName) ?? {};
  const first = (names: readonly string[]): string => names.map((name) => node[name]).find((value) => value !== undefined && value !== "") ?? "";
  const entries = [
    ["topology.kubernetes.io/region", first(REGION)],
    ["topology.kubernetes.io/zone", first(ZONE)],
    ["topology.istio.io/subzone", first(SUBZONE)],
    ["kubernetes.io/hostname", spec.nodeName],
  ];
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}
