// All hosts of a mesh: those of Services and of ServiceEntries, one for each name and namespace, and which of them counts.
import { compareText, type Diagnostic } from "../model/diagnostic.ts";
import { type Resources, resourceLabel } from "../model/resource.ts";
import { compareEndpoints } from "./endpoints.ts";
import type { Instance } from "./instance.ts";
import type { Endpoint, Host, HostPort, Mesh } from "./mesh.ts";
import { inOrder, type Precedence } from "./order.ts";
import { indexInstances, type Selection } from "./selection.ts";
import { entryHosts } from "./service-entries.ts";
import { serviceHost } from "./services.ts";
import { workloadEntryInstance } from "./workload-entries.ts";

export interface KnownHosts extends Pick<Mesh, "hosts" | "namesakes"> {
  readonly diagnostics: readonly Diagnostic[];
}

/** Hosts of Services, by name in byte order, and what is said about them. */
export function knownHosts(
  resources: Pick<Resources, "services" | "serviceEntries" | "workloadEntries">,
  instances: readonly Instance[],
  domain: string,
  precedence: Precedence,
): KnownHosts {
  const described = inOrder(resources.workloadEntries, precedence).map(workloadEntryInstance);
  const select = described.length === 0 ? indexed(instances) : indexInstances([...instances, ...described]);
  const diagnostics: Diagnostic[] = [];
  const byName = new Map<string, Host[]>();
  const add = (host: Host): void => {
    const others = byName.get(host.hostname) ?? [];
    byName.set(host.hostname, others);
    const beside = others.findIndex(({ namespace }) => namespace === host.namespace);
    const known = others[beside];
    if (known === undefined) others.push(host);
    else {
      const merged = mergeHosts(known, host);
      others[beside] = merged.host;
      diagnostics.push(...merged.diagnostics);
    }
  };
  // Services first: nobody takes a Service's name by a ServiceEntry that is older. Source: Istio, DefaultSidecarScopeForNamespace.
  for (const service of inOrder(resources.services, precedence)) {
    const { host, diagnostics: said } = serviceHost(service, select, domain);
    diagnostics.push(...said);
    add(host);
  }
  for (const entry of inOrder(resources.serviceEntries, precedence)) for (const host of entryHosts(entry, select)) add(host);
  const sorted = withAliases([...byName].sort(([a], [b]) => compareText(a, b)));
  return {
    hosts: new Map(sorted.flatMap(([hostname, [first]]) => (first === undefined ? [] : [[hostname, first]]))),
    namesakes: new Map(sorted.filter(([, hosts]) => hosts.length > 1)),
    diagnostics,
  };
}

const INDEXED = new WeakMap<readonly Instance[], Selection>();

function indexed(instances: readonly Instance[]): Selection {
  const select = INDEXED.get(instances) ?? indexInstances(instances);
  INDEXED.set(instances, select);
  return select;
}

/**
 * Two of one namespace that name a host may each bring ports, and endpoints for a port that both have: a Service and the ServiceEntry for what serves it
 * outside of the cluster, or a ServiceEntry for each version. Where their endpoints are found in different ways the first counts.
 * Source: Istio, sidecar.go mergeServices, and the endpoint index, which is by hostname and namespace.
 */
function mergeHosts(first: Host, second: Host): { readonly host: Host; readonly diagnostics: readonly Diagnostic[] } {
  const alike = first.resolution === second.resolution;
  const added: readonly HostPort[] = alike ? second.ports.filter(({ number }) => !first.ports.some((port) => port.number === number)) : [];
  const ports = [...first.ports, ...added];
  const ofBoth = ports.map(({ number }): [number, readonly Endpoint[]] => [number, joinEndpoints(first.endpoints.get(number), second.endpoints.get(number))]);
  const host: Host = {
    ...first,
    ports,
    endpoints: alike ? new Map(ofBoth) : first.endpoints,
    addresses: [...new Set([...first.addresses, ...second.addresses])],
    serviceAccounts: alike ? [...new Set([...first.serviceAccounts, ...second.serviceAccounts])].sort() : first.serviceAccounts,
  };
  if (alike) return { host, diagnostics: [] };
  const { service } = second;
  const where = `${resourceLabel(first.service)} (${first.service.origin.file}:${first.service.origin.line})`;
  const what = `${first.hostname} is found in another way already, by ${where}: that one counts`;
  const fix = "give both the same resolution, or put the two into one";
  return {
    host,
    diagnostics: [{ code: "WEFT0421", severity: "warning", origin: service.locate(["spec", "hosts"]), resource: resourceLabel(service), what, fix }],
  };
}

/** Those of both, each address once. */
function joinEndpoints(first: readonly Endpoint[] = [], second: readonly Endpoint[] = []): readonly Endpoint[] {
  const known = new Set(first.map(({ address, port }) => `${address} ${port}`));
  return [...first, ...second.filter(({ address, port }) => !known.has(`${address} ${port}`))].sort(compareEndpoints);
}

/** A Service of type ExternalName that names a host of the mesh is that host by another name. Source: Istio, resolveServiceAliases. */
function withAliases(byName: readonly (readonly [string, readonly Host[]])[]): readonly (readonly [string, readonly Host[]])[] {
  const all = new Map(byName);
  return byName.map(([hostname, hosts]) => [hostname, hosts.map((host) => aliased(host, all))]);
}

/** Names lead on to names; a circle leads nowhere and is left to DNS. */
const LONGEST_CHAIN = 10;

function aliased(host: Host, all: ReadonlyMap<string, readonly Host[]>): Host {
  let target: Host | undefined = host;
  for (let step = 0; target !== undefined && isExternalName(target); step += 1) {
    const next: string = target.service.kind === "Service" ? (target.service.spec.externalName ?? "").toLowerCase() : "";
    target = step === LONGEST_CHAIN ? undefined : all.get(next)?.[0];
  }
  if (target === undefined || target === host) return host;
  const { ports, endpoints, resolution, external, subjectAltNames, serviceAccounts, hostname } = target;
  return { ...host, ports, endpoints, resolution, external, subjectAltNames, serviceAccounts, aliasOf: hostname };
}

function isExternalName({ service }: Host): boolean {
  return service.kind === "Service" && service.spec.type === "ExternalName";
}
