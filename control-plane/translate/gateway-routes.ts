// The route configuration of one server port of a gateway: the hosts of its Gateways, cut with those of the VirtualServices that bind to them.

import { VirtualHost_TlsRequirementType } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { gatewaysServedBy } from "../mesh/gateways.ts";
import { hostMatches, isExported, resolveHostname } from "../mesh/hosts.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { compareText } from "../model/diagnostic.ts";
import type { GatewayServer } from "../model/gateway.ts";
import type { Gateway, VirtualService } from "../model/resource.ts";
import { gatewayRouteName } from "./names.ts";
import { resourceOrigin } from "./resource.ts";
import { type RoutingResource, routeConfiguration } from "./route-configurations.ts";
import { joinRouteSets, type RouteInit, type RouteSet, routesOf } from "./routes.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** A server of a Gateway that the proxy serves at one port. */
export interface ServedServer {
  /** `namespace/name` of the Gateway. */
  readonly key: string;
  readonly gateway: Gateway;
  readonly server: GatewayServer;
}

/** The servers for plain HTTP at a port, in the order of their Gateways. TLS is not built yet. */
export function serversAt(mesh: Mesh, proxy: Proxy, port: number): readonly ServedServer[] {
  return [...gatewaysServedBy(mesh, proxy)].flatMap(([key, gateway]) =>
    gateway.spec.servers
      .filter((server) => server.port.number === port && /^(http|http2|grpc|grpc-web)$/i.test(server.port.protocol))
      .map((server) => ({ key, gateway, server })),
  );
}

/** One domain, and who has a say in it. */
interface Domain {
  readonly virtualServices: Map<VirtualService, Set<string>>;
  readonly gateways: Set<Gateway>;
  redirectsToHttps: boolean;
}

/** The route configuration of a port. Where nothing matches, Envoy answers 404. */
export function gatewayRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, port: number, servers: readonly ServedServer[]): RoutingResource {
  const domains = domainsAt(mesh, virtualServices, proxy, servers);
  const sets = [...domains].sort(([a], [b]) => compareText(a, b)).map(([name, domain]) => ({ name, domain, set: domainRoutes(mesh, proxy, port, domain) }));
  const hosts = sets.map(({ name, domain, set }) => ({
    name: `${name}:${port}`,
    domains: [name],
    routes: [...set.routes],
    requireTls: domain.redirectsToHttps ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
  }));
  const joined = joinRouteSets(sets.map(({ set }) => set));
  const origins = [...joined.origins, ...servers.map(({ gateway }) => resourceOrigin(gateway))];
  // The port that a client names need not be the server's: a gateway may be reached through another one.
  return routeConfiguration(gatewayRouteName(port), hosts, { ...joined, origins }, { ignorePortInHostMatching: true });
}

function domainsAt(mesh: Mesh, index: VirtualServiceIndex, proxy: Proxy, servers: readonly ServedServer[]): ReadonlyMap<string, Domain> {
  const domains = new Map<string, Domain>();
  const domainOf = (name: string): Domain => {
    const domain = domains.get(name) ?? { virtualServices: new Map(), gateways: new Set(), redirectsToHttps: false };
    domains.set(name, domain);
    return domain;
  };
  for (const { key, gateway, server } of servers) {
    const redirects = server.tls?.httpsRedirect === true;
    for (const serverHost of server.hosts) {
      const { accepts, pattern } = readServerHost(serverHost, gateway.namespace);
      if (redirects) domainOf(pattern).redirectsToHttps = true;
      for (const virtualService of index.ofGateway(key)) {
        if (!accepts(virtualService.namespace) || !isExported(virtualService.spec.exportTo, virtualService.namespace, proxy.namespace)) continue;
        for (const host of virtualService.spec.hosts) {
          const name = moreSpecific(resolveHostname(mesh, host, virtualService.namespace), pattern);
          if (name === undefined) continue;
          const domain = domainOf(name);
          domain.virtualServices.set(virtualService, (domain.virtualServices.get(virtualService) ?? new Set()).add(key));
          domain.redirectsToHttps ||= redirects;
        }
      }
    }
  }
  return domains;
}

/** `namespace/host`, where the namespace may be `*` or `.`, says which namespaces' VirtualServices may bind. Source: Istio reference, Server.hosts. */
function readServerHost(text: string, ownNamespace: string): { readonly pattern: string; readonly accepts: (namespace: string) => boolean } {
  const slash = text.indexOf("/");
  const namespace = slash < 0 ? "*" : text.slice(0, slash);
  const pattern = text.slice(slash + 1).toLowerCase();
  return { pattern, accepts: (candidate) => namespace === "*" || candidate === (namespace === "." ? ownNamespace : namespace) };
}

/** What both patterns cover, where one covers the other. */
function moreSpecific(a: string, b: string): string | undefined {
  if (hostMatches(b, a)) return a;
  return hostMatches(a, b) ? b : undefined;
}

/** Routes of all VirtualServices of a domain, merged as in Istio: those that match everything come last, else they would hide the others. */
function domainRoutes(mesh: Mesh, proxy: Proxy, port: number, { virtualServices }: Domain): RouteSet {
  const ordered = mesh.virtualServices.flatMap((virtualService) => {
    const gateways = virtualServices.get(virtualService);
    return gateways === undefined ? [] : [{ virtualService, gateways: [...gateways] }];
  });
  const sets = ordered.map(({ virtualService, gateways }) =>
    routesOf({ mesh, proxy, source: { namespace: proxy.namespace, labels: proxy.labels, gateways, port } }, virtualService),
  );
  const joined = joinRouteSets(sets);
  if (sets.length < 2) return joined;
  const last = (route: RouteInit): boolean => joined.catchAll.has(route);
  return { ...joined, routes: [...joined.routes.filter((route) => !last(route)), ...joined.routes.filter(last)] };
}
