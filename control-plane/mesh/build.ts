// Builds the mesh from its input: resources in, one graph of hosts, rules and places out, with all that is said about how the resources fit together.
import { compareDiagnostics, compareText, type Diagnostic } from "../model/diagnostic.ts";
import { type MeshConfigSpec, meshConfigSpec } from "../model/mesh-config.ts";
import { type MeshConfig, resourceLabel, type Sidecar } from "../model/resource.ts";
import { checkMeshAfter, type RememberedFindings } from "./checks.ts";
import { countingProxies } from "./counting-proxies.ts";
import type { Instance } from "./instance.ts";
import { knownHosts } from "./known-hosts.ts";
import { rulesByHost } from "./merge-rules.ts";
import type { Mesh, MeshInput } from "./mesh.ts";
import { inOrder, type Precedence, precedenceUnder } from "./order.ts";
import { shareMesh } from "./share-structure.ts";

const NO_FILES: ReadonlySet<string> = new Set();

/**
 * The whole mesh. Equal input gives an equal mesh, whatever the order in which resources, instances and proxies are listed. `former`: a mesh of before, whose
 * parts are taken over where they are as they were ({@link shareMesh}), and of whose checks those are not made again that read nothing else.
 */
export function buildMesh(input: MeshInput, former?: Mesh): Mesh {
  const { resources, domain } = input;
  const { settings, diagnostics: settingsDiagnostics } = settingsOf(resources.meshConfigs);
  const precedence = precedenceUnder(settings.defaults);
  const instances = sortByName(input.instances);
  const { hosts, namesakes, diagnostics: hostDiagnostics } = knownHosts(resources, instances, domain, precedence);
  const destinationRules = rulesByHost(resources.destinationRules, { hosts, domain }, precedence);
  const fresh: Mesh = {
    settings,
    domain,
    certificates: input.certificates ?? true,
    hosts,
    namesakes,
    virtualServices: inOrder(resources.virtualServices, precedence),
    destinationRules,
    destinationRuleWildcards: [...destinationRules.keys()].filter((host) => host.startsWith("*")).sort((a, b) => b.length - a.length || compareText(a, b)),
    gateways: inOrder(resources.gateways, precedence),
    secrets: inOrder(resources.secrets, precedence),
    absentFiles: input.absentFiles ?? NO_FILES,
    sidecars: sidecarsInOrder(resources.sidecars, precedence),
    authorizationPolicies: inOrder(resources.authorizationPolicies, precedence),
    requestAuthentications: inOrder(resources.requestAuthentications, precedence),
    peerAuthentications: inOrder(resources.peerAuthentications, precedence),
    instances,
    proxies: countingProxies(input.proxies, settings.metrics).sort((a, b) => compareText(a.id, b.id)),
    diagnostics: [],
  };
  const mesh = former === undefined ? fresh : shareMesh({ ...former, diagnostics: fresh.diagnostics }, fresh);
  const checked = checkMeshAfter(former && FINDINGS.get(former), mesh, resources.deployments);
  const diagnostics = [...settingsDiagnostics, ...hostDiagnostics, ...checked.diagnostics];
  const built = { ...mesh, diagnostics: diagnostics.sort(compareDiagnostics) };
  FINDINGS.set(built, checked.remembered);
  return built;
}

const FINDINGS = new WeakMap<Mesh, RememberedFindings>();

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

/** Those for some workloads are asked before the one for a whole namespace. Source: Istio, initSidecarScopes. */
function sidecarsInOrder(sidecars: readonly Sidecar[], precedence: Precedence): readonly Sidecar[] {
  const ordered = inOrder(sidecars, precedence);
  return [...ordered.filter(({ spec }) => spec.workloadSelector !== undefined), ...ordered.filter(({ spec }) => spec.workloadSelector === undefined)];
}

const SORTED = new WeakMap<readonly Instance[], readonly Instance[]>();

/** What runs stays the same list for many edits. */
function sortByName(instances: readonly Instance[]): readonly Instance[] {
  const sorted = SORTED.get(instances) ?? [...instances].sort((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
  SORTED.set(instances, sorted);
  return sorted;
}
