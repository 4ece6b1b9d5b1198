// One server port of a gateway: a listener with a chain for each server, told apart by SNI where they speak TLS, and the route configurations behind them.

import type { ServedServer } from "../mesh/gateway-servers.ts";
import { hostMatches, isExported, resolveHostname } from "../mesh/hosts.ts";
import type { GatewayPort, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { VirtualService } from "../model/resource.ts";
import { type ConnectionRoute, firstOfEach, tcpConnections, tlsConnections } from "./connection-routes.ts";
import { connectionChain, connectionNeeds, type FilterChainInit, listenerResource, type ServerChain } from "./filter-chains.ts";
import { gatewayRoutes, readServerHost } from "./gateway-routes.ts";
import { outboundManager } from "./http-connection-manager.ts";
import { explainListener } from "./listeners.ts";
import { type ClusterKey, FILTER, gatewayRouteName, httpsRouteName } from "./names.ts";
import { type PortSecurity, portSecurity } from "./port-security.ts";
import { resourceOrigin, type TranslatedResource, uniqueOrigins } from "./resource.ts";
import type { RoutingResource } from "./route-configurations.ts";
import { serverTls } from "./server-tls.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** What a port takes. */
export interface GatewayPortResources {
  readonly listeners: readonly TranslatedResource[];
  readonly routes: readonly RoutingResource[];
  readonly clusters: readonly ClusterKey[];
}

/** The resources of a port at which `servers` (all plain HTTP, all TLS, or all TCP) listen. */
export function gatewayPort(mesh: Mesh, index: VirtualServiceIndex, proxy: Proxy, port: GatewayPort, servers: readonly ServedServer[]): GatewayPortResources {
  const security = portSecurity(mesh, proxy, { known: port.number, bound: port.listen.port });
  const origins = uniqueOrigins([...servers.map(({ gateway }) => resourceOrigin(gateway)), ...security.origins]);
  const name = `gateway|${port.number}`;
  const place = { mesh, index, proxy, port: port.number, security };
  const web = webServers(place, servers, name);
  const connections = servers.flatMap((served) => connectionChains(place, served, name));
  const chains = [
    ...web.chains,
    ...distinctChains(
      connections.map(({ chain }) => chain),
      web.chains,
    ),
  ];
  if (chains.length === 0) return { listeners: [], routes: [], clusters: [] };
  const routes = connections.map(({ route }) => route);
  const listener = listenerResource(name, port.listen, "OUTBOUND", [...chains], uniqueOrigins([...origins, ...routes.flatMap((route) => route.origins)]), [
    ...web.needs,
    ...connectionNeeds(routes),
    ...security.needs,
  ]);
  const explain =
    web.explains === undefined ? [] : [explainListener({ address: port.explainAddress ?? port.listen.address, port: port.explainPort }, web.explains, origins)];
  return { listeners: [listener, ...explain], routes: web.routes, clusters: routes.flatMap((route) => route.clusters) };
}

interface PortPlace {
  readonly mesh: Mesh;
  readonly index: VirtualServiceIndex;
  readonly proxy: Proxy;
  readonly port: number;
  readonly security: PortSecurity;
}

interface WebServers {
  readonly chains: readonly FilterChainInit[];
  readonly routes: readonly RoutingResource[];
  readonly needs: readonly string[];
  /** The route configuration that the port's explain listener answers by. */
  readonly explains: string | undefined;
}

/** HTTP servers share a route configuration; each HTTPS server has one of its own, so that a client reaches by one server's SNI that server's hosts alone. */
function webServers({ mesh, index, proxy, port, security }: PortPlace, servers: readonly ServedServer[], statPrefix: string): WebServers {
  const plain = servers.filter(({ as }) => as === "http");
  const secure = servers.filter(({ as }) => as === "https");
  const manager = (route: string) => outboundManager("gateway", route, { statPrefix, proxy, security });
  const needsOf = (names: readonly string[]): readonly string[] => [
    ...names.map((route) => `route/${route}`),
    ...(names.length === 0 ? [] : [`extension/${FILTER}`]),
  ];
  const all = gatewayRouteName(port);
  if (plain.length > 0) {
    const routes = [gatewayRoutes(mesh, index, proxy, { port, name: all }, plain)];
    return { chains: [{ filters: [manager(all)] }], routes, needs: needsOf([all]), explains: all };
  }
  const named = secure.map((served) => ({ served, name: httpsRouteName(port, served.server.port.name, served.gateway) }));
  const routes = named.map(({ served, name }) => gatewayRoutes(mesh, index, proxy, { port, name }, [served]));
  const chains = distinctChains(
    named.map(({ served, name }) => ({ ...serverNameMatch(served), transportSocket: serverTls(mesh, proxy, served), filters: [manager(name)] })),
  );
  const [only, ...others] = named;
  if (only === undefined) return { chains: [], routes: [], needs: [], explains: undefined };
  const names = named.map(({ name }) => name);
  if (others.length === 0) return { chains, routes, needs: needsOf(names), explains: only.name };
  // Questions carry no SNI: they are answered from the hosts of all servers.
  return { chains, routes: [...routes, gatewayRoutes(mesh, index, proxy, { port, name: all }, secure)], needs: needsOf(names), explains: all };
}

/** Envoy refuses two chains that fit alike: a server name belongs to the first that asks for it. */
function distinctChains(chains: readonly FilterChainInit[], before: readonly FilterChainInit[] = []): readonly FilterChainInit[] {
  const taken = new Set(before.flatMap(keysOf));
  return chains.flatMap((chain) => {
    const match = chain.filterChainMatch ?? {};
    const names = match.serverNames ?? [];
    const free = names.filter((name) => !taken.has(keyOf(chain, name)));
    if (names.length === 0 ? taken.has(keyOf(chain, "")) : free.length === 0) return [];
    const kept = names.length === 0 ? chain : { ...chain, filterChainMatch: { ...match, serverNames: free } };
    for (const key of keysOf(kept)) taken.add(key);
    return [kept];
  });
}

function keysOf(chain: FilterChainInit): readonly string[] {
  const names = chain.filterChainMatch?.serverNames ?? [];
  return (names.length === 0 ? [""] : names).map((name) => keyOf(chain, name));
}

function keyOf({ filterChainMatch }: FilterChainInit, name: string): string {
  return JSON.stringify([name, filterChainMatch?.prefixRanges ?? [], filterChainMatch?.sourcePrefixRanges ?? []]);
}

function serverNameMatch({ server, gateway }: ServedServer): ServerChain {
  const patterns = server.hosts.map((host) => readServerHost(host, gateway.namespace).pattern);
  return patterns.includes("*") ? {} : { filterChainMatch: { serverNames: [...new Set(patterns)] } };
}

/** The chains of a server whose bytes are passed on: by `tls` routes where TLS stays closed, else by `tcp` routes. */
function connectionChains(
  place: PortPlace,
  served: ServedServer,
  name: string,
): readonly { readonly chain: FilterChainInit; readonly route: ConnectionRoute }[] {
  const { mesh, index, proxy, port, security } = place;
  const { key, as } = served;
  if (as === "http" || as === "https") return [];
  const source = { namespace: proxy.namespace, labels: proxy.labels, gateways: [key], port };
  const bound = index.ofGateway(key).filter((virtualService) => binds(mesh, proxy, served, virtualService));
  const routes = (as === "passthrough" ? tlsConnections : tcpConnections)({ mesh, proxy, source }, bound, { kind: "seen" });
  const socket: ServerChain = as === "tls" ? { ...serverNameMatch(served), transportSocket: serverTls(mesh, proxy, served) } : {};
  return firstOfEach(as === "passthrough" ? routes.map((route) => withinServer(route, served)) : routes).flatMap((route) =>
    as === "passthrough" && route.match.serverNames.length === 0 && !takesAnyName(served)
      ? []
      : [{ chain: connectionChain(name, route, proxy, socket, security.network), route }],
  );
}

/** Only the server's own names, where it has some. */
function withinServer(route: ConnectionRoute, { server, gateway }: ServedServer): ConnectionRoute {
  const patterns = server.hosts.map((host) => readServerHost(host, gateway.namespace).pattern);
  const { serverNames } = route.match;
  const within = serverNames.flatMap((name) =>
    patterns.some((pattern) => hostMatches(pattern, name)) ? [name] : patterns.filter((pattern) => hostMatches(name, pattern)),
  );
  return { ...route, match: { ...route.match, serverNames: [...new Set(within)] } };
}

function takesAnyName({ server, gateway }: ServedServer): boolean {
  return server.hosts.some((host) => readServerHost(host, gateway.namespace).pattern === "*");
}

/** Whether a VirtualService may bind to the server: its namespace, and a host in common. */
function binds(mesh: Mesh, proxy: Proxy, { server, gateway }: ServedServer, { spec, namespace }: VirtualService): boolean {
  if (!isExported(spec.exportTo, namespace, proxy.namespace)) return false;
  return server.hosts.some((text) => {
    const { accepts, pattern } = readServerHost(text, gateway.namespace);
    return accepts(namespace) && spec.hosts.some((host) => overlaps(resolveHostname(mesh, host, namespace).toLowerCase(), pattern));
  });
}

function overlaps(a: string, b: string): boolean {
  return hostMatches(a, b) || hostMatches(b, a);
}
