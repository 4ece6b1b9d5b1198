// The HTTP proxy port: one route configuration whose virtual hosts come by VHDS, one for each port of each host, and one for the names that nobody knows.
import type { Proxy } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { domainsOf } from "./domains.ts";
import { httpPorts, plainPort } from "./name-lookup.ts";
import { HTTP_PROXY_ROUTE, outboundClusterName, PASSTHROUGH_CLUSTER, virtualHostName } from "./names.ts";
import { PASS_THROUGH, tunnelRoute, unknownNameRoutes } from "./pass-through.ts";
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

function plannedPorts(mesh: Mesh, proxy: Proxy, host: Host, claim: ClaimDomains): readonly PlannedPort[] {
  const { hostname, ports } = host;
  const plain = plainPort(host);
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

/** One virtual host for each port. */
function portRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, host: Host, { port, http, domains }: PlannedPort): RoutingResource {
  const set = proxiedRoutes(mesh, virtualServices, proxy, host, { port, http });
  const name = virtualHostName(HTTP_PROXY_ROUTE, `${host.hostname}:${port}`);
  return virtualHost(HTTP_PROXY_ROUTE, { name, domains, routes: [...set.routes] }, set);
}

/** The routes of a host's port for clients that name it to a proxy: bytes pass through a tunnel, and requests go by the rules. */
export function proxiedRoutes(
  mesh: Mesh,
  virtualServices: VirtualServiceIndex,
  proxy: Proxy,
  host: Host,
  { port, http }: { readonly port: number; readonly http: boolean },
): RouteSet {
  const set = http ? hostRoutes(sidecarPlace(mesh, proxy, port), virtualServices, host, port) : NO_ROUTES;
  const key = { hostname: host.hostname, port, subset: "" };
  const routes = [tunnelRoute(outboundClusterName(key)), ...set.routes];
  return { ...set, routes, clusters: [...set.clusters, key], origins: [...set.origins, resourceOrigin(host.service)] };
}

/**
 * Hosts that only a VirtualService names (`reviews.example`, `*.example.com`): at every port for HTTP that the mesh has, and at port 80, as sidecars in a
 * cluster listen there.
 */
function namesWithoutService(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, claim: ClaimDomains): readonly RoutingResource[] {
  const ports = httpPorts(mesh);
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
