// Names of hosts: from what a rule says to the fully qualified name, and which namespaces may use it.
import type { Mesh } from "./mesh.ts";

/** Namespaces whose rules apply to the whole mesh: Weft's, and Istio's, so that the same files serve both. */
export const ROOT_NAMESPACES: readonly string[] = ["weft-system", "istio-system"];

/** What name resolution depends on: a mesh, or one that is being built. */
export interface HostNames {
  readonly domain: string;
  readonly hosts: { has(hostname: string): boolean };
}

/**
 * The fully qualified name that `name` means in a rule of `namespace`. A short name is a service beside the rule (Istio: in the rule's namespace, not the
 * client's); `name.namespace` and `name.namespace.svc` are completed where such a service exists, since both are names that Kubernetes' DNS resolves.
 * Anything else, wildcards included, stays as it is.
 */
export function resolveHostname(mesh: HostNames | Mesh, name: string, namespace: string): string {
  if (name.startsWith("*")) return name;
  const lower = name.toLowerCase();
  const parts = lower.split(".");
  if (parts.length === 1) return `${lower}.${namespace}.svc.${mesh.domain}`;
  if (mesh.hosts.has(lower)) return lower;
  const completed = parts.length === 2 ? `${lower}.svc.${mesh.domain}` : parts.length === 3 && parts[2] === "svc" ? `${lower}.${mesh.domain}` : undefined;
  return completed !== undefined && mesh.hosts.has(completed) ? completed : lower;
}

/** Whether something of `ownNamespace` with this `exportTo` is visible in `toNamespace`. Empty means everywhere. Source: Istio reference, exportTo. */
export function isExported(exportTo: readonly string[], ownNamespace: string, toNamespace: string): boolean {
  if (exportTo.length === 0) return true;
  return exportTo.some((target) => target === "*" || target === toNamespace || (target === "." && ownNamespace === toNamespace));
}

/** Whether a host pattern (`*.example.com`, `*`, or a name) covers a name. */
export function hostMatches(pattern: string, hostname: string): boolean {
  return pattern.startsWith("*") ? hostname.endsWith(pattern.slice(1)) : pattern === hostname;
}

/** Whether two host patterns have a name in common. Source: Istio, host.Name.Matches. */
export function hostsOverlap(a: string, b: string): boolean {
  if (a.startsWith("*") && b.startsWith("*")) return a.endsWith(b.slice(1)) || b.endsWith(a.slice(1));
  return hostMatches(a, b) || hostMatches(b, a);
}

/** A Service's own exportTo. Source: Istio, annotation `networking.istio.io/exportTo`. */
export function serviceExportTo(annotations: Readonly<Record<string, string>>): readonly string[] {
  return (annotations["networking.istio.io/exportTo"] ?? "")
    .split(",")
    .map((target) => target.trim())
    .filter((target) => target !== "");
}
