// The HTTP proxy port: one route configuration whose virtual hosts come by VHDS, one for each port of each host, and one for the names that nobody knows.
import type { Proxy } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { domainsOf } from "./domains.ts";
import { HTTP_PROXY_ROUTE, outboundClusterName, PASSTHROUGH_CLUSTER, virtualHostName } from "./names.ts";
import { passThroughCluster, tunnelRoute, unknownNameRoutes } from "./pass-through.ts";
import { resourceOrigin, type TranslatedResource } from "./resource.ts";
import { type RoutingResource, vhdsRouteConfiguration, virtualHost } from "./route-configurations.ts";
import { NO_ROUTES, type RouteSet, routesOf } from "./routes.ts";
import { hostRoutes, sidecarPlace } from "./service-routes.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

export interface HttpProxyRoutes<Routed> {
  readonly hosts: readonly Routed[];
  /** The route configuration, and the cluster of unknown names where they pass. */
  readonly resources: readonly TranslatedResource[];
}

/**
 * Gives the virtual host of one port of a host: a former one, where nothing has changed that it depends on; its domains are a part of that. What is planned
 * for no single host is always made.
 */
export type RecallHost<Routed> = (planned: PlannedPort | undefined, make: () => RoutingResource) => Routed;

/** One port of a host, and the names by which the programs that `proxy` stands for call it. */
interface PlannedPort {
  readonly hostname: string;
  readonly port: number;
  readonly http: boolean;
  readonly domains: string[];
}

/** The ports of all hosts that an audience sees. */
export interface HttpProxyPlan {
  readonly ports: readonly PlannedPort[];
  readonly taken: ReadonlySet<string>;
}

/** Who is called by which names: a function of the hosts' names and ports, and of what the proxy sees. */
export function planHttpProxy(mesh: Mesh, proxy: Proxy): HttpProxyPlan {
  const scope = scopeOf(mesh, proxy);
  const taken = new Set<string>();
  const ports: PlannedPort[] = [];
  for (const host of scope.hosts.values()) ports.push(...plannedPorts(mesh, proxy, host, claimDomains(taken)));
  return { ports, taken };
}

/** The name without a port means port 80, or the only port for HTTP where there is no port 80. */
function plannedPorts(mesh: Mesh, proxy: Proxy, { hostname, ports }: Host, claim: ClaimDomains): readonly PlannedPort[] {
  const numbers = ports.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number);
  const plain = numbers.includes(80) ? 80 : numbers.length === 1 ? numbers[0] : undefined;
  return ports.flatMap(({ number, protocol }) => {
    if (protocol === "udp" || !scopeOf(mesh, proxy).sees(hostname, number)) return [];
    const domains = claim(domainsOf(hostname, number, proxy.namespace, mesh.domain, number === plain));
    return domains.length === 0 ? [] : [{ hostname, port: number, http: isHttp(protocol), domains }];
  });
}

/** All that the HTTP proxy port of the sidecars that `proxy` stands for routes by. */
export function httpProxyRoutes<Routed>(
  mesh: Mesh,
  virtualServices: VirtualServiceIndex,
  proxy: Proxy,
  plan: HttpProxyPlan,
  recall: RecallHost<Routed>,
): HttpProxyRoutes<Routed> {
  const scope = scopeOf(mesh, proxy);
  const { mode } = scope.outboundTrafficPolicy;
  const hosts: Routed[] = [];
  for (const planned of plan.ports) {
    const host = scope.hosts.get(planned.hostname);
    if (host !== undefined) hosts.push(recall(planned, () => portRoutes(mesh, virtualServices, proxy, host, planned)));
  }
  const claim = claimDomains(new Set(plan.taken));
  for (const host of namesWithoutService(mesh, virtualServices, proxy, claim)) hosts.push(recall(undefined, () => host));
  const passes = mode === "ALLOW_ANY";
  const unknown = { name: virtualHostName(HTTP_PROXY_ROUTE, "*"), domains: ["*"], routes: unknownNameRoutes(mode) };
  const needs = passes ? [`cluster/${PASSTHROUGH_CLUSTER}`] : [];
  hosts.push(recall(UNKNOWN_NAMES, () => virtualHost(HTTP_PROXY_ROUTE, unknown, NO_ROUTES, needs)));
  return { hosts, resources: passes ? [ROUTE_CONFIGURATION, PASS_THROUGH] : [ROUTE_CONFIGURATION] };
}

const UNKNOWN_NAMES: PlannedPort = { hostname: "*", port: 0, http: true, domains: ["*"] };
const ROUTE_CONFIGURATION = vhdsRouteConfiguration(HTTP_PROXY_ROUTE);
const PASS_THROUGH = passThroughCluster();

/** One virtual host for each port. */
function portRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, host: Host, { port, http, domains }: PlannedPort): RoutingResource {
  const set = http ? hostRoutes(sidecarPlace(mesh, proxy, port), virtualServices, host, port) : NO_ROUTES;
  const key = { hostname: host.hostname, port, subset: "" };
  const name = virtualHostName(HTTP_PROXY_ROUTE, `${host.hostname}:${port}`);
  const whole: Omit<RouteSet, "routes"> = { ...set, clusters: [...set.clusters, key], origins: [...set.origins, resourceOrigin(host.service)] };
  return virtualHost(HTTP_PROXY_ROUTE, { name, domains, routes: [tunnelRoute(outboundClusterName(key)), ...set.routes] }, whole);
}

/**
 * Hosts that only a VirtualService names (`reviews.example`, `*.example.com`): at every port for HTTP that the mesh has, and at port 80, as sidecars in a
 * cluster listen there.
 */
function namesWithoutService(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, claim: ClaimDomains): readonly RoutingResource[] {
  const numbers = [...mesh.hosts.values()].flatMap(({ ports }) => ports.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number));
  const ports = [...new Set([80, ...numbers])].sort((a, b) => a - b);
  return virtualServices.hostnames.flatMap((hostname) => {
    const speaking = mesh.hosts.has(hostname) || hostname === "*" ? [] : virtualServices.forHost(hostname, proxy);
    if (speaking.length === 0) return [];
    return ports.flatMap((port) => {
      const set = routesOf(sidecarPlace(mesh, proxy, port), speaking);
      const domains = set.routes.length === 0 ? [] : claim(domainsOf(hostname, port, proxy.namespace, mesh.domain, port === 80));
      const name = virtualHostName(HTTP_PROXY_ROUTE, `${hostname}:${port}`);
      return domains.length === 0 ? [] : [virtualHost(HTTP_PROXY_ROUTE, { name, domains, routes: [...set.routes] }, set)];
    });
  });
}

type ClaimDomains = (domains: readonly string[]) => string[];

/** A domain belongs to the first that claims it: Envoy refuses a route configuration in which one stands twice. */
function claimDomains(taken: Set<string>): ClaimDomains {
  return (domains) => {
    const free = domains.filter((domain) => !taken.has(domain));
    for (const domain of free) taken.add(domain);
    return free;
  };
}
