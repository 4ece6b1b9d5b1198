// The route configuration of one port of one service, for listeners that serve nothing else: every request is for this service, whatever its authority.

import { MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { clientAuthority } from "./domains.ts";
import type { RoutePlace } from "./forward.ts";
import { serviceRouteName } from "./names.ts";
import { resourceOrigin } from "./resource.ts";
import { type RoutingResource, routeConfiguration } from "./route-configurations.ts";
import { defaultRoutes, type RouteSet, routesOf } from "./routes.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** The route configuration for the callers that `proxy` stands for. */
export function serviceRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, host: Host, port: number): RoutingResource {
  const authority = clientAuthority(host.hostname, port, proxy.namespace, mesh.domain);
  const place = sidecarPlace(mesh, proxy, port, authority);
  const set = hostRoutes(place, virtualServices, host, port);
  const name = serviceRouteName(host.hostname, port);
  const origins = [...set.origins, resourceOrigin(host.service)];
  return routeConfiguration(name, [{ name, domains: ["*"], routes: [...set.routes] }], { ...set, origins });
}

/** Requests of a sidecar's program to a port. */
export function sidecarPlace(mesh: Mesh, proxy: Proxy, port: number, authority?: string): RoutePlace {
  const source = { namespace: proxy.namespace, labels: proxy.labels, gateways: [MESH_GATEWAY], port, ...(authority === undefined ? {} : { authority }) };
  return { mesh, proxy, source };
}

/** The routes of a host's port: its VirtualServices', or the plain ones where none says anything about these requests. */
export function hostRoutes(place: RoutePlace, virtualServices: VirtualServiceIndex, host: Host, port: number): RouteSet {
  const written = routesOf(place, virtualServices.forHost(host.hostname, place.proxy));
  return written.routes.length === 0 ? defaultRoutes(place, host, port) : written;
}
