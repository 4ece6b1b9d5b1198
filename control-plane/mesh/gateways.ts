// Which Gateways a VirtualService binds to, and which proxies serve a Gateway.
import type { Gateway, VirtualService } from "../model/resource.ts";
import type { Proxy } from "./instance.ts";
import type { Mesh } from "./mesh.ts";

/** The reserved name that stands for all sidecars. Source: Istio reference, VirtualService.gateways. */
export const MESH_GATEWAY = "mesh";

/** `namespace/name` of a Gateway that a VirtualService of `namespace` names; a bare name is beside it. */
export function gatewayKey(name: string, namespace: string): string {
  return name.includes("/") ? name : `${namespace}/${name}`;
}

/** The gateways that a VirtualService binds to, as keys; none written means the sidecars. */
export function gatewaysOf(virtualService: VirtualService): readonly string[] {
  const { gateways } = virtualService.spec;
  if (gateways.length === 0) return [MESH_GATEWAY];
  return gateways.map((name) => (name === MESH_GATEWAY ? MESH_GATEWAY : gatewayKey(name, virtualService.namespace)));
}

/** Whether a gateway proxy serves a Gateway. Istio lets a selector reach over namespaces; an empty one selects every gateway proxy. */
export function servesGateway(proxy: Proxy, gateway: Gateway): boolean {
  return proxy.kind === "gateway" && Object.entries(gateway.spec.selector).every(([key, value]) => proxy.labels[key] === value);
}

/** The Gateways that a proxy serves, by `namespace/name`. */
export function gatewaysServedBy(mesh: Mesh, proxy: Proxy): ReadonlyMap<string, Gateway> {
  const served = mesh.gateways.filter((gateway) => servesGateway(proxy, gateway));
  return new Map(served.map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]));
}

/** Every destination that a VirtualService names, with its place in the document. */
export function destinationsOf(virtualService: VirtualService): readonly PlacedDestination[] {
  const { http, tls, tcp } = virtualService.spec;
  const placed: PlacedDestination[] = [];
  http.forEach((route, i) => {
    route.route.forEach(({ destination }, j) => {
      placed.push({ destination, path: ["spec", "http", i, "route", j, "destination"] });
    });
    if (route.mirror !== undefined) placed.push({ destination: route.mirror, path: ["spec", "http", i, "mirror"] });
    route.mirrors.forEach(({ destination }, j) => {
      placed.push({ destination, path: ["spec", "http", i, "mirrors", j, "destination"] });
    });
  });
  for (const [kind, routes] of [["tls", tls] as const, ["tcp", tcp] as const]) {
    routes.forEach((route, i) => {
      route.route.forEach(({ destination }, j) => {
        placed.push({ destination, path: ["spec", kind, i, "route", j, "destination"] });
      });
    });
  }
  return placed;
}

/** A destination, and where it stands in the document. */
export interface PlacedDestination {
  readonly destination: VirtualService["spec"]["http"][number]["route"][number]["destination"];
  readonly path: readonly (string | number)[];
}
