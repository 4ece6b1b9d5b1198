// What one proxy sees of the mesh: the hosts that it may name, the VirtualServices that hold for it, and where the rest goes. A Sidecar resource narrows it;
// without one it is all that is exported to the namespace.
import { compareText } from "../model/diagnostic.ts";
import type { Sidecar, VirtualService } from "../model/resource.ts";
import type { SidecarIngress, SidecarSpec } from "../model/sidecar.ts";
import type { Destination } from "../model/virtual-service.ts";
import { hostMatches, hostsOverlap, isExported, ROOT_NAMESPACES, resolveHostname } from "./hosts.ts";
import type { Proxy } from "./instance.ts";
import type { Endpoint, Host, Mesh } from "./mesh.ts";
import { carries } from "./selection.ts";
import { inlineInstance } from "./workload-entries.ts";

/** Where names go that the proxy does not see. */
export interface OutboundPolicy {
  readonly mode: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** All of it by way of this host. */
  readonly egressProxy?: Destination;
}

/** A view of the mesh, shared by all proxies of one namespace that the same Sidecar holds for. */
export interface Scope {
  /** Equal names, equal views of one mesh. */
  readonly name: string;
  readonly namespace: string;
  readonly sidecar: Sidecar | undefined;
  /** Hosts that the proxy's program may name, by hostname in byte order. */
  readonly hosts: ReadonlyMap<string, Host>;
  /** Whether it may name this host at this port: listeners of a Sidecar may be for one port. */
  readonly sees: (hostname: string, port?: number) => boolean;
  /** A host that a route may lead to, which is more: a VirtualService that holds for the proxy takes its destinations along. */
  readonly destination: (hostname: string) => Host | undefined;
  readonly holds: (virtualService: VirtualService) => boolean;
  readonly outboundTrafficPolicy: OutboundPolicy;
  /** What the workload is to listen for, in place of its Services' ports; empty: those. */
  readonly ingress: readonly SidecarIngress[];
  readonly inboundConnectionPool?: NonNullable<SidecarSpec["inboundConnectionPool"]>;
}

/** For whom a scope is asked. A gateway's is that of its namespace: Sidecars do not hold for gateways. */
export type Viewer = Pick<Proxy, "kind" | "namespace" | "labels">;

const SCOPES = new WeakMap<Mesh, Map<string, Scope>>();

/** The scope of a proxy; the same object for all that share it. */
export function scopeOf(mesh: Mesh, viewer: Viewer): Scope {
  const sidecar = sidecarFor(mesh, viewer);
  const scopes = SCOPES.get(mesh) ?? new Map<string, Scope>();
  SCOPES.set(mesh, scopes);
  const name = sidecar === undefined ? viewer.namespace : `${viewer.namespace} ${sidecar.namespace}/${sidecar.name}`;
  const known = scopes.get(name);
  if (known !== undefined) return known;
  const scope = makeScope(mesh, viewer.namespace, name, sidecar);
  scopes.set(name, scope);
  return scope;
}

/**
 * The Sidecar that holds for a proxy: of its namespace one that selects its labels, then the one that selects none, then a root namespace's.
 * Source: Istio, getSidecarScope.
 */
export function sidecarFor(mesh: Mesh, { kind, namespace, labels }: Viewer): Sidecar | undefined {
  if (mesh.sidecars.length === 0 || kind === "gateway") return undefined;
  const own = mesh.sidecars.find((sidecar) => sidecar.namespace === namespace && carries(labels, sidecar.spec.workloadSelector?.labels ?? {}));
  return own ?? mesh.sidecars.find((sidecar) => ROOT_NAMESPACES.includes(sidecar.namespace) && sidecar.spec.workloadSelector === undefined);
}

function makeScope(mesh: Mesh, namespace: string, name: string, sidecar: Sidecar | undefined): Scope {
  const { egress = [], ingress = [], inboundConnectionPool, outboundTrafficPolicy } = sidecar?.spec ?? {};
  // Without egress listeners all hosts are seen.
  const listeners = (egress.length === 0 ? [{ hosts: ["*/*"] }] : egress).map((listener) => egressListener(listener, namespace));
  const hosts = new Map<string, Host>();
  for (const [hostname, first] of mesh.hosts) {
    const candidates = namesakesOf(mesh, first).filter((host) => isExported(host.exportTo, host.namespace, namespace));
    const imported = listeners.length === 0 ? [] : candidates.filter((host) => listeners.some((listener) => listener.imports(host)));
    const chosen = imported.find((host) => host.namespace === namespace) ?? imported[0];
    if (chosen !== undefined) hosts.set(hostname, chosen);
  }
  const held = new Map<VirtualService, boolean>();
  return {
    name,
    namespace,
    sidecar,
    hosts,
    sees: (hostname, port) => {
      const host = hosts.get(hostname);
      if (host === undefined || port === undefined) return host !== undefined;
      const ofPort = listeners.filter((listener) => listener.port === port);
      return (ofPort.length > 0 ? ofPort : listeners.filter((listener) => listener.port === undefined)).some((listener) => listener.imports(host));
    },
    destination: (hostname) => hosts.get(hostname) ?? visibleHost(mesh, hostname, namespace),
    holds: (virtualService) => {
      const known = held.get(virtualService);
      if (known !== undefined) return known;
      const holds =
        isExported(virtualService.spec.exportTo, virtualService.namespace, namespace) && listeners.some((listener) => listener.takes(mesh, virtualService));
      held.set(virtualService, holds);
      return holds;
    },
    outboundTrafficPolicy: outboundPolicy(mesh, outboundTrafficPolicy),
    ingress,
    ...(inboundConnectionPool === undefined ? {} : { inboundConnectionPool }),
  };
}

/** The proto's first value is REGISTRY_ONLY, so that is what a policy without a mode means. Source: Istio API, OutboundTrafficPolicy.Mode. */
function outboundPolicy(mesh: Mesh, written: SidecarSpec["outboundTrafficPolicy"]): OutboundPolicy {
  if (written === undefined) return { mode: mesh.settings.outboundTrafficPolicy.mode };
  const { mode, egressProxy } = written;
  return { mode: mode === undefined || mode === "REGISTRY_ONLY" ? "REGISTRY_ONLY" : "ALLOW_ANY", ...(egressProxy === undefined ? {} : { egressProxy }) };
}

/**
 * The host of a name that counts in a namespace, by what is exported to it: its own, else the first in order of precedence, else the most specific wildcard
 * that covers the name.
 */
export function visibleHost(mesh: Mesh, hostname: string, namespace: string): Host | undefined {
  const first = mesh.hosts.get(hostname);
  if (first === undefined) return coveredHost(mesh, hostname, namespace);
  const visible = namesakesOf(mesh, first).filter((host) => isExported(host.exportTo, host.namespace, namespace));
  return visible.find((host) => host.namespace === namespace) ?? visible[0];
}

const WILDCARDS = new WeakMap<Mesh, readonly Host[]>();

/** Hosts of many names, the most specific first. */
export function wildcardHosts(mesh: Mesh): readonly Host[] {
  const known = WILDCARDS.get(mesh);
  if (known !== undefined) return known;
  const wildcards = [...mesh.hosts.values()].filter(({ hostname }) => hostname.startsWith("*"));
  const sorted = wildcards
    .sort((a, b) => b.hostname.length - a.hostname.length || compareText(a.hostname, b.hostname))
    .flatMap((first) => namesakesOf(mesh, first));
  WILDCARDS.set(mesh, sorted);
  return sorted;
}

const COVERED = new WeakMap<Host, Map<string, Host>>();

/** One name of a wildcard. Where requests carry the name, it is looked up by it (Istio answers 503: it knows the wildcard only). */
function coveredHost(mesh: Mesh, hostname: string, namespace: string): Host | undefined {
  if (hostname.startsWith("*")) return undefined;
  const wildcard = wildcardHosts(mesh).find((host) => hostMatches(host.hostname, hostname) && isExported(host.exportTo, host.namespace, namespace));
  if (wildcard === undefined) return undefined;
  const covered = COVERED.get(wildcard) ?? new Map<string, Host>();
  COVERED.set(wildcard, covered);
  const host = covered.get(hostname) ?? oneOf(wildcard, hostname);
  covered.set(hostname, host);
  return host;
}

function oneOf(wildcard: Host, hostname: string): Host {
  if (wildcard.resolution !== "original" && wildcard.resolution !== "dynamic-dns") return { ...wildcard, hostname, name: hostname };
  const instance = inlineInstance({ address: hostname, ports: {}, labels: {} }, wildcard.service.name, wildcard.namespace, 0);
  const endpoints = wildcard.ports.map(({ number, targetPort }): [number, readonly Endpoint[]] => [
    number,
    [{ instance, address: hostname, port: typeof targetPort === "number" ? targetPort : number, weight: 1 }],
  ]);
  return { ...wildcard, hostname, name: hostname, resolution: "dns-round-robin", endpoints: new Map(endpoints) };
}

function namesakesOf(mesh: Mesh, first: Host): readonly Host[] {
  return mesh.namesakes.get(first.hostname) ?? [first];
}

interface EgressListener {
  /** Absent: of all ports that no other listener has. */
  readonly port: number | undefined;
  readonly imports: (host: Host) => boolean;
  readonly takes: (mesh: Mesh, virtualService: VirtualService) => boolean;
}

/** One `namespace/host` of a listener, `.` replaced. */
interface HostPattern {
  readonly namespace: string;
  readonly host: string;
}

/** Source: Istio, convertIstioListenerToWrapper, selectServices and SelectVirtualServices. */
function egressListener(
  { port, hosts }: { readonly port?: { readonly number: number } | undefined; readonly hosts: readonly string[] },
  namespace: string,
): EgressListener {
  const patterns = hosts.map((text) => patternOf(text, namespace));
  const wanted = patterns.filter(({ excludes }) => !excludes);
  const excluded = patterns.filter(({ excludes }) => excludes);
  const reaches = (pattern: HostPattern, of: string): boolean => pattern.namespace === "*" || pattern.namespace === of;
  const leavesOut = (hostname: string, of: string): boolean => excluded.some((pattern) => reaches(pattern, of) && hostMatches(pattern.host, hostname));
  return {
    port: port === undefined || port.number === 0 ? undefined : port.number,
    imports: (host) =>
      wanted.some((pattern) => reaches(pattern, host.namespace) && hostMatches(pattern.host, host.hostname)) && !leavesOut(host.hostname, host.namespace),
    takes: (mesh, { namespace: of, spec }) =>
      // One without hosts is there to be delegated to.
      spec.hosts.length === 0 ||
      spec.hosts.some((written) => {
        const hostname = resolveHostname(mesh, written, of);
        return wanted.some((pattern) => reaches(pattern, of) && hostsOverlap(pattern.host, hostname)) && !leavesOut(hostname, of);
      }),
  };
}

/** `~` leaves out: `~/*` all, `~ns/host` one. A host without a namespace is of any. */
function patternOf(text: string, namespace: string): HostPattern & { readonly excludes: boolean } {
  const slash = text.indexOf("/");
  const written = slash === -1 ? "*" : text.slice(0, slash);
  const host = text.slice(slash + 1).toLowerCase();
  const excludes = written.startsWith("~");
  const of = excludes ? written.slice(1) || "*" : written;
  return { namespace: of === "." ? namespace : of, host, excludes };
}
