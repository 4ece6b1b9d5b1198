// The route configuration of one server port of a gateway: the hosts of its Gateways, cut with those of the VirtualServices that bind to them.

import { VirtualHost_TlsRequirementType } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { ServedServer } from "../mesh/gateway-servers.ts";
import { hostMatches, isExported, resolveHostname } from "../mesh/hosts.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { compareText } from "../model/diagnostic.ts";
import type { Gateway, VirtualService } from "../model/resource.ts";
import { resourceOrigin } from "./resource.ts";
import { type RoutingResource, routeConfiguration } from "./route-configurations.ts";
import { joinRouteSets, type RouteSet, routesOf } from "./routes.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** One domain, and who has a say in it. */
interface Domain {
  readonly virtualServices: Map<VirtualService, Set<string>>;
  readonly gateways: Set<Gateway>;
  redirectsToHttps: boolean;
}

/** A route configuration of a port, called `name`, for `servers`. Where nothing matches, Envoy answers 404. */
export function gatewayRoutes(
  mesh: Mesh,
  virtualServices: VirtualServiceIndex,
  proxy: Proxy,
  { port, name }: { readonly port: number; readonly name: string },
  servers: readonly ServedServer[],
): RoutingResource {
  const domains = domainsAt(mesh, virtualServices, proxy, servers);
  const sets = [...domains]
    .sort(([a], [b]) => compareText(a, b))
    .map(([domainName, domain]) => ({ domainName, domain, set: domainRoutes(mesh, proxy, port, domain) }));
  const hosts = sets.map(({ domainName, domain, set }) => ({
    name: `${domainName}:${port}`,
    domains: [domainName],
    routes: [...set.routes],
    requireTls: domain.redirectsToHttps ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
  }));
  const joined = joinRouteSets(sets.map(({ set }) => set));
  const origins = [...joined.origins, ...servers.map(({ gateway }) => resourceOrigin(gateway))];
  // The port that a client names need not be the server's: a gateway may be reached through another one.
  return routeConfiguration(name, hosts, { ...joined, origins }, { ignorePortInHostMatching: true });
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
        if (
          virtualService.spec.http.length === 0 ||
          !accepts(virtualService.namespace) ||
          !isExported(virtualService.spec.exportTo, virtualService.namespace, proxy.namespace)
        )
          continue;
        for (const host of virtualService.spec.hosts) {
          const name = moreSpecific(resolveHostname(mesh, host, virtualService.namespace).toLowerCase(), pattern);
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
export function readServerHost(text: string, ownNamespace: string): { readonly pattern: string; readonly accepts: (namespace: string) => boolean } {
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

/** Routes of all VirtualServices of a domain, merged; each sees the gateways that it came in by. */
function domainRoutes(mesh: Mesh, proxy: Proxy, port: number, { virtualServices }: Domain): RouteSet {
  const ordered = mesh.virtualServices.filter((virtualService) => virtualServices.has(virtualService));
  const gateways = [...new Set([...virtualServices.values()].flatMap((keys) => [...keys]))];
  return routesOf({ mesh, proxy, source: { namespace: proxy.namespace, labels: proxy.labels, gateways, port } }, ordered);
}
