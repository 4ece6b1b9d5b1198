// AuthorizationPolicies that apply to no workload (IST0127) or name a namespace that is not there (IST0101). Source: Istio analyzers/authz.
import type { AuthorizationPolicy } from "../model/resource.ts";
import { type Finding, notFound } from "./finding.ts";
import { type AnalysisInput, documentsOf } from "./input.ts";
import { isAmbient, isPodInMesh, selectorText, selects } from "./selection.ts";

export function authorizationPolicies(input: AnalysisInput): readonly Finding[] {
  const pods = input.pods.filter((pod) => isPodInMesh(input, pod) || isAmbient(pod));
  const namespaces = new Set(documentsOf(input, "", "Namespace").map(({ name }) => name));
  // A folder without Namespaces says nothing of which there are; its resources do.
  if (input.platform === "weft") for (const { namespace } of input.documents) namespaces.add(namespace);
  return input.authorizationPolicies.flatMap((policy) => [...unapplied(input, policy, pods), ...unknownNamespaces(policy, namespaces)]);
}

function unapplied(input: AnalysisInput, policy: AuthorizationPolicy, pods: AnalysisInput["pods"]): readonly Finding[] {
  const { namespace, spec } = policy;
  const isMeshWide = namespace === input.mesh.rootNamespace;
  if (spec.targetRef !== undefined || spec.targetRefs.length > 0) return [];
  if (isMeshWide && spec.selector === undefined) return [];
  const selector = spec.selector?.matchLabels ?? {};
  if (pods.some((pod) => (isMeshWide || pod.namespace === namespace) && selects(selector, pod.labels))) return [];
  const text = selectorText(selector);
  return [
    {
      code: "IST0127",
      severity: "warning",
      subject: policy,
      path: ["spec", "selector"],
      what: `no workload ${isMeshWide ? "of the mesh" : `of namespace ${namespace}`}${text === "" ? " is in the mesh" : ` has the labels ${text}`}`,
      fix: "correct the selector or the namespace, or start the workload",
    },
  ];
}

function unknownNamespaces(policy: AuthorizationPolicy, namespaces: ReadonlySet<string>): readonly Finding[] {
  return policy.spec.rules.flatMap(({ from }, rule) =>
    from.flatMap(({ source }, index) =>
      (["namespaces", "notNamespaces"] as const).flatMap((field) =>
        (source?.[field] ?? []).flatMap((expected, position) =>
          [...namespaces].some((name) => matchesNamespace(name, expected))
            ? []
            : [
                notFound(
                  policy,
                  ["spec", "rules", rule, "from", index, "source", field, position],
                  `there is no namespace "${expected}"`,
                  "correct its name, or create it",
                ),
              ],
        ),
      ),
    ),
  );
}

/** `*`, `*-test`, `prod-*` or a name, which alone is compared without case. */
function matchesNamespace(name: string, expected: string): boolean {
  if (expected.startsWith("*")) return name.endsWith(expected.slice(1));
  return expected.endsWith("*") ? name.startsWith(expected.slice(0, -1)) : name.toLowerCase() === expected.toLowerCase();
}
