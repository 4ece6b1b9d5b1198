// Which port of which host one name leads to at an outbound route configuration: the answer that Envoy would find among the virtual hosts of the whole mesh
// (http-proxy-routes.ts), found without making them.
import type { Proxy } from "../mesh/instance.ts";
import type { Host, HostPort, Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { isIpAddress } from "../mesh/workload-entries.ts";
import { compareText } from "../model/diagnostic.ts";
import { domainsOf } from "./domains.ts";
import { routesOf } from "./routes.ts";
import { sidecarPlace } from "./service-routes.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** What a name stands for. */
export type NameTarget =
  | { readonly kind: "port"; readonly host: Host; readonly port: HostPort }
  /** A host that VirtualServices alone name, called at this port. */
  | { readonly kind: "rule"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unknown" };

const UNKNOWN: NameTarget = { kind: "unknown" };

export interface NameLookup {
  /** At the HTTP proxy port, where the name is all that is known. */
  readonly byName: (proxy: Proxy, authority: string) => NameTarget;
  /** At a port whose connections are captured: what the name says is looked for at this port first, also by a service's address. */
  readonly atPort: (proxy: Proxy, authority: string, port: number) => NameTarget;
  /** Whether no name of the mesh is covered by a domain: `10.1.*`, or `*.example.com:80`. */
  readonly isFree: (proxy: Proxy, domain: string) => boolean;
}

/** Hosts that VirtualServices alone name, and the ports that they are called at. */
interface Rules {
  readonly ports: ReadonlySet<number>;
  readonly hostnames: ReadonlySet<string>;
}

/** Reads the mesh once. */
export function createNameLookup(mesh: Mesh, virtualServices: VirtualServiceIndex): NameLookup {
  const rules: Rules = {
    ports: new Set(httpPorts(mesh)),
    hostnames: new Set(virtualServices.hostnames.filter((hostname) => hostname !== "*" && !mesh.hosts.has(hostname))),
  };
  const claimant = (proxy: Proxy, domain: string): NameTarget => hostOf(mesh, proxy, domain) ?? ruleOf(mesh, virtualServices, rules, proxy, domain) ?? UNKNOWN;
  const byName = (proxy: Proxy, authority: string): NameTarget => {
    for (const domain of domainsThatMatch(authority)) {
      const target = claimant(proxy, domain);
      if (target.kind !== "unknown") return target;
    }
    return UNKNOWN;
  };
  return {
    byName,
    atPort: (proxy, authority, port) => {
      const { name, port: written } = partsOf(authority);
      if (written !== undefined && written !== port) return byName(proxy, authority);
      const target = addressee(mesh, proxy, name, port) ?? byName(proxy, `${name}:${port}`);
      return target.kind === "unknown" ? byName(proxy, authority) : target;
    },
    isFree: (proxy, domain) => {
      const covers = covering(domain);
      const scope = scopeOf(mesh, proxy);
      if (covers(`any.svc.${mesh.domain}`) || !remembered(scope, domain, () => ![...scope.hosts.keys(), ...virtualServices.hostnames].some(covers)))
        return false;
      const { outbound, capture } = proxy;
      return capture === undefined || remembered(outbound, domain, () => !outbound.some(({ listen }) => covers(listen.address)));
    },
  };
}

/** Exact, then the longest wildcard. Source: Envoy, route_components.proto, VirtualHost.domains. */
function domainsThatMatch(authority: string): readonly string[] {
  const dots = [...authority.matchAll(/\./g)].map(({ index }) => index);
  return [authority, ...dots.filter((index) => index > 0).map((index) => `*${authority.slice(index)}`)];
}

const FREE = new WeakMap<object, Map<string, boolean>>();

function remembered(of: object, domain: string, isFree: () => boolean): boolean {
  const answers = FREE.get(of) ?? new Map<string, boolean>();
  FREE.set(of, answers);
  const answer = answers.get(domain) ?? isFree();
  answers.set(domain, answer);
  return answer;
}

/** Whether a name of the mesh stands below a domain, at whatever port; short names of services too, which end in `svc`. */
function covering(domain: string): (name: string) => boolean {
  if (domain.endsWith("*")) return (name) => name.startsWith(domain.slice(0, -1));
  const suffix = domain.slice(1).replace(/:\d+$/, "");
  return (name) => name.endsWith(suffix) || suffix.endsWith(".svc") || `.${name}`.endsWith(suffix);
}

function partsOf(authority: string): { readonly name: string; readonly port: number | undefined } {
  const [, name = authority, port] = /^(.*):(\d+)$/.exec(authority) ?? [];
  return { name, port: port === undefined ? undefined : Number(port) };
}

/** Full names that a program in the namespace may mean by a name; most of them are none. */
function fullNames(name: string, namespace: string, domain: string): readonly string[] {
  return [...new Set([name, `${name}.${namespace}.svc.${domain}`, `${name}.svc.${domain}`, `${name}.${domain}`])].sort(compareText);
}

/** A domain belongs to the first host that may be called so, in the order in which the HTTP proxy port's hosts claim theirs. */
function hostOf(mesh: Mesh, proxy: Proxy, domain: string): NameTarget | undefined {
  const scope = scopeOf(mesh, proxy);
  for (const hostname of fullNames(partsOf(domain).name, proxy.namespace, mesh.domain)) {
    const host = scope.hosts.get(hostname);
    if (host === undefined) continue;
    const plain = plainPort(host);
    const port = host.ports.find(
      ({ number, protocol }) =>
        protocol !== "udp" && scope.sees(hostname, number) && domainsOf(hostname, number, proxy.namespace, mesh.domain, number === plain).includes(domain),
    );
    if (port !== undefined) return { kind: "port", host, port };
  }
  return undefined;
}

/** Port 80, and every port of the mesh that speaks HTTP. */
export function httpPorts(mesh: Mesh): readonly number[] {
  const known = HTTP_PORTS.get(mesh);
  if (known !== undefined) return known;
  const numbers = [...mesh.hosts.values()].flatMap(({ ports }) => ports.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number));
  const ports = [...new Set([80, ...numbers])].sort((a, b) => a - b);
  HTTP_PORTS.set(mesh, ports);
  return ports;
}

const HTTP_PORTS = new WeakMap<Mesh, readonly number[]>();

/** The port that a name without one means: 80, or the only port for HTTP where there is no port 80. */
export function plainPort({ ports }: Host): number | undefined {
  const numbers = ports.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number);
  return numbers.includes(80) ? 80 : numbers.length === 1 ? numbers[0] : undefined;
}

/** Hosts that VirtualServices alone name come after those of services, and only with a port at which some route of theirs can hold. */
function ruleOf(mesh: Mesh, virtualServices: VirtualServiceIndex, rules: Rules, proxy: Proxy, domain: string): NameTarget | undefined {
  const { name, port = 80 } = partsOf(domain);
  if (!rules.ports.has(port)) return undefined;
  for (const hostname of fullNames(name, proxy.namespace, mesh.domain)) {
    if (!rules.hostnames.has(hostname) || !domainsOf(hostname, port, proxy.namespace, mesh.domain, port === 80).includes(domain)) continue;
    if (routesOf(sidecarPlace(mesh, proxy, port), virtualServices.forHost(hostname, proxy)).routes.length > 0) return { kind: "rule", hostname, port };
  }
  return undefined;
}

/** The service that has this very address in the proxy's network. */
function addressee(mesh: Mesh, proxy: Proxy, address: string, port: number): NameTarget | undefined {
  const outbound = isIpAddress(address) ? proxy.outbound.find(({ port: number, listen }) => number === port && listen.address === address) : undefined;
  if (outbound === undefined) return undefined;
  const scope = scopeOf(mesh, proxy);
  const host = scope.sees(outbound.hostname, port) ? scope.hosts.get(outbound.hostname) : undefined;
  const found = host?.ports.find(({ number }) => number === port);
  return host === undefined || found === undefined ? undefined : { kind: "port", host, port: found };
}
