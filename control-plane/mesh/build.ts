// Builds the mesh from its input: resources in, one graph of hosts, rules and places out, with all that is said about how the resources fit together.
import { compareDiagnostics, compareText, type Diagnostic } from "../model/diagnostic.ts";
import { type MeshConfigSpec, meshConfigSpec } from "../model/mesh-config.ts";
import { type DestinationRule, type MeshConfig, resourceLabel } from "../model/resource.ts";
import { checkMesh } from "./checks.ts";
import { type HostNames, resolveHostname } from "./hosts.ts";
import type { Mesh, MeshInput } from "./mesh.ts";
import { buildHosts } from "./services.ts";

/** The whole mesh, afresh. Equal input gives an equal mesh, whatever the order in which resources, instances and proxies are listed. */
export function buildMesh(input: MeshInput): Mesh {
  const { resources, domain } = input;
  const { settings, diagnostics: settingsDiagnostics } = settingsOf(resources.meshConfigs);
  const instances = sortByName(input.instances);
  const { hosts, diagnostics: hostDiagnostics } = buildHosts(sortByName(resources.services), instances, domain);
  const destinationRules = rulesByHost(resources.destinationRules, { hosts, domain });
  const mesh: Mesh = {
    settings,
    domain,
    hosts,
    virtualServices: sortByName(resources.virtualServices),
    destinationRules,
    destinationRuleWildcards: [...destinationRules.keys()].filter((host) => host.startsWith("*")).sort((a, b) => b.length - a.length || compareText(a, b)),
    gateways: sortByName(resources.gateways),
    instances,
    proxies: [...input.proxies].sort((a, b) => compareText(a.id, b.id)),
    diagnostics: [],
  };
  const diagnostics = [...settingsDiagnostics, ...hostDiagnostics, ...checkMesh(mesh, resources.deployments)];
  return { ...mesh, diagnostics: diagnostics.sort(compareDiagnostics) };
}

/** The settings of the first MeshConfig; the defaults where there is none. */
function settingsOf(meshConfigs: readonly MeshConfig[]): { readonly settings: MeshConfigSpec; readonly diagnostics: readonly Diagnostic[] } {
  const [first, ...others] = meshConfigs;
  const diagnostics = others.map(
    (other): Diagnostic => ({
      code: "WEFT0413",
      severity: "warning",
      origin: other.origin,
      resource: resourceLabel(other),
      what: `a mesh has one MeshConfig, and ${first?.origin.file}:${first?.origin.line} holds it: this one is not used`,
      fix: "merge the two into one document",
    }),
  );
  return { settings: first?.spec ?? meshConfigSpec.parse({}), diagnostics };
}

function rulesByHost(rules: readonly DestinationRule[], names: HostNames): ReadonlyMap<string, readonly DestinationRule[]> {
  const byHost = new Map<string, DestinationRule[]>();
  for (const rule of sortByName(rules)) {
    const hostname = resolveHostname(names, rule.spec.host, rule.namespace);
    const group = byHost.get(hostname);
    if (group === undefined) byHost.set(hostname, [rule]);
    else group.push(rule);
  }
  return new Map([...byHost].sort(([a], [b]) => compareText(a, b)));
}

function sortByName<Named extends { readonly namespace: string; readonly name: string }>(values: readonly Named[]): readonly Named[] {
  return [...values].sort((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
}
