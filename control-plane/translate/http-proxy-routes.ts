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
 * Gives the virtual host of one port of a host: a former one, where nothing has changed that it depends on; its domains are a part of that. Of what is not
 * one host's the name is undefined.
 */
export type RecallHost<Routed> = (hostname: string | undefined, domains: readonly string[], make: () => RoutingResource) => Routed;

/** All that the HTTP proxy port of the sidecars that `proxy` stands for routes by. */
export function httpProxyRoutes<Routed>(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, recall: RecallHost<Routed>): HttpProxyRoutes<Routed> {
  const scope = scopeOf(mesh, proxy);
  const { mode } = scope.outboundTrafficPolicy;
  const claim = claimDomains();
  const hosts: Routed[] = [];
  for (const host of scope.hosts.values()) hosts.push(...servicePorts({ mesh, virtualServices, proxy, claim, recall }, host));
  for (const host of namesWithoutService(mesh, virtualServices, proxy, claim)) hosts.push(recall(undefined, [], () => host));
  const passes = mode === "ALLOW_ANY";
  const name = virtualHostName(HTTP_PROXY_ROUTE, "*");
  const unknown = { name, domains: ["*"], routes: unknownNameRoutes(mode) };
  const needs = passes ? [`cluster/${PASSTHROUGH_CLUSTER}`] : [];
  hosts.push(recall("*", unknown.domains, () => virtualHost(HTTP_PROXY_ROUTE, unknown, NO_ROUTES, needs)));
  return { hosts, resources: passes ? [ROUTE_CONFIGURATION, PASS_THROUGH] : [ROUTE_CONFIGURATION] };
}

const ROUTE_CONFIGURATION = vhdsRouteConfiguration(HTTP_PROXY_ROUTE);
const PASS_THROUGH = passThroughCluster();

interface ProxyPort<Routed> {
  readonly mesh: Mesh;
  readonly virtualServices: VirtualServiceIndex;
  readonly proxy: Proxy;
  readonly claim: ClaimDomains;
  readonly recall: RecallHost<Routed>;
}

/** One virtual host for each port; the name without a port means port 80, or the only port for HTTP where there is no port 80. */
function servicePorts<Routed>({ mesh, virtualServices, proxy, claim, recall }: ProxyPort<Routed>, host: Host): readonly Routed[] {
  const http = host.ports.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number);
  const plain = http.includes(80) ? 80 : http.length === 1 ? http[0] : undefined;
  return host.ports.flatMap(({ number, protocol }) => {
    if (protocol === "udp" || !scopeOf(mesh, proxy).sees(host.hostname, number)) return [];
    const domains = claim(domainsOf(host.hostname, number, proxy.namespace, mesh.domain, number === plain));
    if (domains.length === 0) return [];
    const make = (): RoutingResource => {
      const set = isHttp(protocol) ? hostRoutes(sidecarPlace(mesh, proxy, number), virtualServices, host, number) : NO_ROUTES;
      const key = { hostname: host.hostname, port: number, subset: "" };
      const name = virtualHostName(HTTP_PROXY_ROUTE, `${host.hostname}:${number}`);
      const whole: Omit<RouteSet, "routes"> = { ...set, clusters: [...set.clusters, key], origins: [...set.origins, resourceOrigin(host.service)] };
      return virtualHost(HTTP_PROXY_ROUTE, { name, domains, routes: [tunnelRoute(outboundClusterName(key)), ...set.routes] }, whole);
    };
    return [recall(host.hostname, domains, make)];
  });
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
function claimDomains(): ClaimDomains {
  const taken = new Set<string>();
  return (domains) => {
    const free = domains.filter((domain) => !taken.has(domain));
    for (const domain of free) taken.add(domain);
    return free;
  };
}
