// From the names that routes have in Envoy back to the YAML: which VirtualService, which entry of it, which line.
import type { Origin } from "../model/diagnostic.ts";
import type { VirtualService } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import { routeKey } from "../translate/routes.ts";

/** An entry of a VirtualService's `http`. */
export interface WrittenRoute {
  readonly virtualService: VirtualService;
  readonly index: number;
  readonly route: HttpRoute;
  readonly origin: Origin;
}

/** Entries by the name of the Envoy routes that they become; several have one name where they are alike in name and match. */
export type WrittenRoutes = ReadonlyMap<string, readonly WrittenRoute[]>;

/** Reads all VirtualServices once. */
export function writtenRoutes(virtualServices: readonly VirtualService[]): WrittenRoutes {
  const byName = new Map<string, WrittenRoute[]>();
  for (const virtualService of virtualServices) {
    for (const [index, route] of virtualService.spec.http.entries()) {
      const name = `${virtualService.name}.${virtualService.namespace}/${routeKey(route)}`;
      const written = { virtualService, index, route, origin: virtualService.locate(["spec", "http", index]) };
      byName.set(name, [...(byName.get(name) ?? []), written]);
    }
  }
  return byName;
}
