// Automatic scope: which names each workload has called, as an input of translation. With it a proxy gets the hosts of these names and no others.
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { askedHost } from "./names.ts";

/** By workload, what its proxies have asked for: names of virtual hosts, `<route configuration>/<authority>`. Never changed once made. */
export type CalledNames = ReadonlyMap<string, ReadonlySet<string>>;

export const NOTHING_CALLED: CalledNames = new Map();

/** A workload may ask for so many names: it names hosts as it likes, and each costs every one of its proxies a virtual host. */
export const MOST_CALLED_NAMES = 10_000;

/** What all copies of a program have in common: a new one starts with the hosts that the others have called. */
export function workloadKey({ namespace, workload }: Pick<Proxy, "namespace" | "workload">): string {
  return `${namespace}/${workload}`;
}

/** With what a proxy of the workload has asked for. The former value itself where nothing is new; names above {@link MOST_CALLED_NAMES} are left out. */
export function withCalled(called: CalledNames, workload: string, names: readonly string[]): CalledNames {
  const known = called.get(workload) ?? new Set<string>();
  const fresh = names.filter((name) => !known.has(name) && askedHost(name) !== undefined).slice(0, Math.max(0, MOST_CALLED_NAMES - known.size));
  return fresh.length === 0 ? called : new Map([...called, [workload, new Set([...known, ...fresh])]]);
}

/** Whether a proxy gets only what it calls. A Sidecar resource says what it gets instead, and gateways serve what their VirtualServices say. */
export function hasAutomaticScope(mesh: Mesh, proxy: Proxy): boolean {
  return mesh.settings.scope === "auto" && proxy.kind === "sidecar" && scopeOf(mesh, proxy).sidecar === undefined;
}
