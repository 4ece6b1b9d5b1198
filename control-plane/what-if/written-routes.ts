// From the names that routes have in Envoy back to the YAML: which VirtualService, which entry of it, which line.
import { expandDelegates } from "../mesh/delegates.ts";
import type { Origin } from "../model/diagnostic.ts";
import type { VirtualService } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import { routeKey } from "../translate/routes.ts";

/** An entry of a VirtualService's `http`. */
export interface WrittenRoute {
  /** Where it stands: a delegate, where the one that is bound to the host delegates. */
  readonly virtualService: VirtualService;
  readonly index: number;
  /** With what the delegating entry adds. */
  readonly route: HttpRoute;
  readonly origin: Origin;
}

/** Entries by the name of the Envoy routes that they become; several have one name where they are alike in name and match. */
export type WrittenRoutes = ReadonlyMap<string, readonly WrittenRoute[]>;

/** Reads all VirtualServices once. */
export function writtenRoutes(virtualServices: readonly VirtualService[]): WrittenRoutes {
  const byName = new Map<string, WrittenRoute[]>();
  for (const { route, owner, index, root } of virtualServices.flatMap((root) => expandDelegates(virtualServices, root).routes)) {
    const name = `${root.name}.${root.namespace}/${routeKey(route)}`;
    const written = { virtualService: owner, index, route, origin: owner.locate(["spec", "http", index]) };
    byName.set(name, [...(byName.get(name) ?? []), written]);
  }
  return byName;
}
