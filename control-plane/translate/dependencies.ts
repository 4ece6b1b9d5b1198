// What the resources of one host are made of: the parts of the mesh that can have a say in them, and rather too many than too few. Parts are compared by
// identity, so a mesh must be handed in whose unchanged parts are those of the former one (mesh/share-structure.ts).
import { destinationsOf } from "../mesh/gateways.ts";
import { hostMatches, resolveHostname } from "../mesh/hosts.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { wildcardHosts } from "../mesh/scope.ts";
import { zoneLoads } from "../mesh/zones.ts";
import type { VirtualService } from "../model/resource.ts";
import { type Remembered, rememberAfter, sameList } from "./memo.ts";

/** Parts of the mesh that are looked at host by host, or that only a proxy's own resources depend on. Every other part counts for all hosts. */
const BY_HOST: ReadonlySet<string> = new Set([
  "hosts",
  "namesakes",
  "virtualServices",
  "destinationRules",
  "instances",
  "proxies",
  "diagnostics",
] satisfies (keyof Mesh)[]);

export interface Dependencies {
  /** All that the routes to a host, its clusters and its endpoints depend on, but for the proxy that asks; the former list itself where it is the same. */
  readonly of: (hostname: string) => readonly unknown[];
  /** What counts for every host. */
  readonly ofAll: readonly unknown[];
  readonly remembered: RememberedDependencies;
}

/** Handed from one translation to the next. */
export interface RememberedDependencies {
  readonly ofAll: readonly unknown[];
  readonly byHost: Remembered<readonly unknown[]>;
}

/** Reads a mesh's dependencies, each once. */
export function dependenciesOf(mesh: Mesh, former: RememberedDependencies | undefined): Dependencies {
  const index = indexOf(mesh);
  const ofAll = sameList(former?.ofAll, [...Object.entries(mesh).flatMap(([part, value]) => (BY_HOST.has(part) ? [] : [value])), ...index.ofAll]);
  const byHost = rememberAfter(former?.byHost);
  const known = new Map<string, readonly unknown[]>();
  return {
    of: (hostname) => {
      const found = known.get(hostname);
      if (found !== undefined) return found;
      const parts = partsOf(mesh, index, hostname, ofAll);
      const list = byHost.recall(hostname, parts, () => parts);
      known.set(hostname, list);
      return list;
    },
    ofAll,
    remembered: { ofAll, byHost },
  };
}

interface Index {
  /** VirtualServices by a host that they name in full. */
  readonly byHost: ReadonlyMap<string, readonly VirtualService[]>;
  readonly wildcards: readonly { readonly pattern: string; readonly virtualService: VirtualService }[];
  /** VirtualServices that others may delegate to, and where those lead. */
  readonly delegates: readonly VirtualService[];
  readonly ofAll: readonly unknown[];
  /** Whether traffic is divided over zones anywhere, so that callers count. */
  readonly splits: boolean;
}

function indexOf(mesh: Mesh): Index {
  const byHost = new Map<string, VirtualService[]>();
  const wildcards: { pattern: string; virtualService: VirtualService }[] = [];
  const delegates: VirtualService[] = [];
  for (const virtualService of mesh.virtualServices) {
    const { hosts } = virtualService.spec;
    if (hosts.length === 0) delegates.push(virtualService);
    for (const written of hosts) {
      const hostname = resolveHostname(mesh, written, virtualService.namespace).toLowerCase();
      if (hostname.startsWith("*")) wildcards.push({ pattern: hostname, virtualService });
      const group = byHost.get(hostname);
      if (group === undefined) byHost.set(hostname, [virtualService]);
      else group.push(virtualService);
    }
  }
  const wildcardRules = mesh.destinationRuleWildcards.map((pattern) => mesh.destinationRules.get(pattern));
  const places = [mesh.settings, ...[...mesh.destinationRules.values()].flat().map(({ spec }) => spec)];
  const splits = places.some((place) => /"(?:locality|zoneAware)LbSetting":/.test(JSON.stringify(place)));
  return { byHost, wildcards, delegates, ofAll: [...delegates, ...wildcardRules, ...wildcardHosts(mesh), splits], splits };
}

function partsOf(mesh: Mesh, { byHost, wildcards, delegates, splits }: Index, hostname: string, ofAll: readonly unknown[]): readonly unknown[] {
  const speaking = [
    ...(byHost.get(hostname) ?? []),
    ...wildcards.filter(({ pattern }) => pattern !== hostname && hostMatches(pattern, hostname)).map(({ virtualService }) => virtualService),
  ];
  const delegating = speaking.some(({ spec }) => spec.http.some(({ delegate }) => delegate !== undefined));
  const leading = delegating ? [...speaking, ...delegates] : speaking;
  const led = leading.flatMap((virtualService) =>
    destinationsOf(virtualService).map(({ destination }) => resolveHostname(mesh, destination.host, virtualService.namespace)),
  );
  const names = new Set([hostname, ...led]);
  // A set grows while it is walked: the host that a name is another name of follows.
  for (const name of names) for (const { aliasOf } of namesakesOf(mesh, name)) if (aliasOf !== undefined) names.add(aliasOf);
  const parts: unknown[] = [ofAll, ...speaking];
  for (const name of names) {
    const hosts = namesakesOf(mesh, name);
    parts.push(name, mesh.destinationRules.get(name), ...hosts);
    if (splits) parts.push(...hosts.map((host) => JSON.stringify(zoneLoads(mesh, host, []))));
  }
  return parts;
}

function namesakesOf(mesh: Mesh, hostname: string) {
  const first = mesh.hosts.get(hostname);
  return mesh.namesakes.get(hostname) ?? (first === undefined ? [] : [first]);
}
