// Where a proxy listens: for its program's requests to services, for the program itself, and for questions of `weft explain`.
import type { InboundPort, ListenAddress, Proxy, ServiceListener } from "../mesh/instance.ts";
import type { ConnectionRoute } from "./connection-routes.ts";
import { connectionChain, connectionNeeds, listenerResource, SILENT_CLIENTS, tcpProxy } from "./filter-chains.ts";
import { explainManager, inboundManager, type NetworkFilterInit, outboundManager } from "./http-connection-manager.ts";
import { type ConnectionSecurity, inboundChains, PLAIN_CONNECTIONS } from "./inbound-chains.ts";
import { EXPLAIN_FILTER, FILTER, HTTP_PROXY_ROUTE, inboundClusterName, onDemandRouteName, serviceRouteName } from "./names.ts";
import { NO_SECURITY, type PortSecurity } from "./port-security.ts";
import { type ResourceOrigin, type TranslatedResource, uniqueOrigins } from "./resource.ts";

/** Requests to one port of a service: the listener that carries them, and the one that explains them. */
export function serviceListeners(
  proxy: Proxy,
  { hostname, port, listen, explainAddress, explainPort }: ServiceListener,
  origin: ResourceOrigin,
): readonly TranslatedResource[] {
  const route = serviceRouteName(hostname, port);
  const name = `outbound|${port}||${hostname}`;
  return [
    httpListener(name, listen, "OUTBOUND", route, FILTER, [origin], outboundManager("sidecar", route, { statPrefix: name, proxy })),
    explainListener({ address: explainAddress ?? listen.address, port: explainPort }, route, [origin]),
  ];
}

/** Connections to one port of a service that is not HTTP: a chain for each route. */
export function connectionListener(
  proxy: Proxy,
  { hostname, port, listen }: ServiceListener,
  routes: readonly ConnectionRoute[],
  origin: ResourceOrigin,
): TranslatedResource {
  const name = `outbound|${port}||${hostname}`;
  const origins = uniqueOrigins([...routes.flatMap((route) => route.origins), origin]);
  return listenerResource(
    name,
    listen,
    "OUTBOUND",
    routes.map((route) => connectionChain(name, route, proxy)),
    origins,
    connectionNeeds(routes),
  );
}

/** The HTTP proxy port, whose hosts are there, or asked for when they are first called. */
export function httpProxyListeners(proxy: Proxy, httpProxy: NonNullable<Proxy["httpProxy"]>, hosts: "known" | "on demand"): readonly TranslatedResource[] {
  const { address, port, explainPort } = httpProxy;
  const name = HTTP_PROXY_ROUTE;
  const [kind, route] = hosts === "known" ? (["forwardProxy", HTTP_PROXY_ROUTE] as const) : (["onDemand", onDemandRouteName()] as const);
  const manager = outboundManager(kind, route, { statPrefix: name, proxy });
  return [
    httpListener(name, { address, port }, "OUTBOUND", route, FILTER, [], manager),
    httpListener(`explain|${name}`, { address, port: explainPort }, "OUTBOUND", route, EXPLAIN_FILTER, [], explainManager(route, `explain|${name}`)),
  ];
}

/** What comes to the program beside the sidecar, as far as the port's policies let it, and in the clear or by mutual TLS as `connections` says. */
export function inboundListener(
  proxy: Proxy,
  { containerPort, listen }: InboundPort,
  isHttp: boolean,
  security: PortSecurity = NO_SECURITY,
  connections: ConnectionSecurity = PLAIN_CONNECTIONS,
): TranslatedResource {
  const cluster = inboundClusterName(containerPort);
  const name = `inbound|${containerPort}`;
  const filters = isHttp
    ? [inboundManager(cluster, { statPrefix: name, proxy, security })]
    : [...security.network, tcpProxy(name, { case: "cluster", value: cluster }, "inbound", proxy, undefined, security.dryRun)];
  const chains = inboundChains(connections, isHttp ? "http" : "tcp", { filters });
  return listenerResource(name, listen, "INBOUND", [...chains], security.origins, [`cluster/${cluster}`, ...security.needs], isHttp ? {} : SILENT_CLIENTS);
}

/** Questions of `weft explain` about a route configuration. */
export function explainListener(listen: ListenAddress, route: string, origins: readonly ResourceOrigin[]): TranslatedResource {
  const name = `explain|${route}`;
  return httpListener(name, listen, "OUTBOUND", route, EXPLAIN_FILTER, origins, explainManager(route, name));
}

function httpListener(
  name: string,
  listen: ListenAddress,
  direction: "INBOUND" | "OUTBOUND",
  route: string,
  extension: string,
  origins: readonly ResourceOrigin[],
  manager: NetworkFilterInit,
): TranslatedResource {
  return listenerResource(name, listen, direction, [{ filters: [manager] }], origins, [`route/${route}`, `extension/${extension}`]);
}
