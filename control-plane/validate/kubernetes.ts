// Services and Deployments: what the mesh needs of them. The rest is for Kubernetes to check.
import type { Deployment, FieldPath, KubernetesService } from "../model/resource.ts";
import { labelsOfFault } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";

/** A Service's ports and selector. */
export function checkService({ spec }: Pick<KubernetesService, "spec">): readonly Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  const path: FieldPath = ["spec", "ports"];
  if (spec.type === "ExternalName") {
    return (spec.externalName ?? "") === "" ? [error("WEFT0395", ["spec"], "a Service of type ExternalName names no host", "add `externalName:`")] : [];
  }
  if (spec.ports.length === 0 && spec.clusterIP !== "None")
    problems.push(error("WEFT0395", ["spec"], "the Service has no ports", "add `ports:` with `- port: 80`"));
  for (const [index, { name = "", port, protocol }] of spec.ports.entries()) {
    const at = [...path, index];
    if (name === "" && spec.ports.length > 1) problems.push(error("WEFT0396", at, "each of several ports needs a name", `add \`name: http\``));
    if (name !== "" && names.has(name))
      problems.push(error("WEFT0396", [...at, "name"], `the port name "${name}" stands twice`, "give each port a name of its own"));
    if (numbers.has(`${protocol}/${port}`)) problems.push(error("WEFT0396", [...at, "port"], `the port ${port} stands twice`, "remove one of the two"));
    if (protocol !== "TCP")
      problems.push(
        warning("WEFT0396", [...at, "protocol"], `the mesh does not carry ${protocol}: this port is left out`, "nothing to do; the port goes past the mesh"),
      );
    names.add(name);
    numbers.add(`${protocol}/${port}`);
  }
  return [...problems, ...checkLabels(spec.selector, ["spec", "selector"])];
}

/** A Deployment's labels, and that its selector selects its own pods. */
export function checkDeployment({ spec }: Pick<Deployment, "spec">): readonly Problem[] {
  const { labels } = spec.template.metadata;
  const problems: Problem[] = [...checkLabels(labels, ["spec", "template", "metadata", "labels"])];
  const { matchLabels } = spec.selector;
  const missing = Object.entries(matchLabels).find(([key, value]) => labels[key] !== value);
  if (missing !== undefined) {
    const [key, value] = missing;
    problems.push(
      error(
        "WEFT0397",
        ["spec", "selector", "matchLabels", key],
        "the selector does not select the Deployment's own pods",
        `add \`${key}: ${value}\` to spec.template.metadata.labels`,
      ),
    );
  }
  const names = new Set<string>();
  const ports = new Set<string>();
  for (const [index, container] of spec.template.spec.containers.entries()) {
    const at: FieldPath = ["spec", "template", "spec", "containers", index];
    if (names.has(container.name))
      problems.push(error("WEFT0397", [...at, "name"], `the container name "${container.name}" stands twice`, "give each container a name of its own"));
    names.add(container.name);
    for (const [position, { name = "" }] of container.ports.entries()) {
      if (name !== "" && ports.has(name))
        problems.push(error("WEFT0397", [...at, "ports", position, "name"], `the port name "${name}" stands twice`, "give each port a name of its own"));
      ports.add(name);
    }
  }
  return problems;
}

function checkLabels(labels: Readonly<Record<string, string>>, path: FieldPath): readonly Problem[] {
  const fault = labelsOfFault(labels);
  return fault === undefined ? [] : [error("WEFT0398", path, fault, "use letters, digits, -, _ and ., at most 63")];
}
