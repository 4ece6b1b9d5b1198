// All that one proxy is to hold, by type and name, and the check that it fits together: what Envoy would refuse or warm for ever is found here first.
import type { TranslatedResource, XdsType } from "../translate/resource.ts";
import { XDS_TYPES } from "../translate/resource.ts";
import { type EncodedResource, resourceKey, routeConfigurationOf } from "./encode.ts";
import { changedNames, layered, type Names, sameNames } from "./layers.ts";

/** Resources of one proxy. Proxies that are to hold the same share the object, and otherwise what they have in common. */
export type View = ReadonlyMap<XdsType, Names>;

const NONE: Names = new Map();

/** The resources of one type, by name. */
export function ofType(view: View, type: XdsType): Names {
  return view.get(type) ?? NONE;
}

/** The resource that a `type/name` of `needs` points to. */
export function lookUp(view: View, key: string): EncodedResource | undefined {
  const slash = key.indexOf("/");
  const prefix = key.slice(0, slash);
  for (const type of XDS_TYPES) if (type === prefix) return view.get(type)?.get(key.slice(slash + 1));
  return undefined;
}

/** A view of encoded resources. Throws when two have the same type and name but different content: translation may not do that. */
export function viewOf(resources: readonly TranslatedResource[], encode: (resource: TranslatedResource) => EncodedResource): View {
  const view = new Map<XdsType, Map<string, EncodedResource>>(XDS_TYPES.map((type) => [type, new Map()]));
  for (const resource of resources) {
    const encoded = encode(resource);
    const names = view.get(encoded.type);
    const twin = names?.get(encoded.name);
    if (twin !== undefined && twin.version !== encoded.version) throw new Error(`two different resources are named ${resourceKey(encoded.type, encoded.name)}`);
    names?.set(encoded.name, encoded);
  }
  return view;
}

/** The view of `now`, which lists resources of the same names as `former`, of which `view` is the view; undefined where the names are others. */
export function replacedView(
  view: View,
  former: readonly TranslatedResource[],
  now: readonly TranslatedResource[],
  encode: (resource: TranslatedResource) => EncodedResource,
): View | undefined {
  if (former.length !== now.length) return undefined;
  const changed = new Map<XdsType, Map<string, EncodedResource>>();
  for (const [index, resource] of now.entries()) {
    const before = former[index];
    if (resource === before) continue;
    if (before === undefined || before.type !== resource.type || before.name !== resource.name) return undefined;
    const names = changed.get(resource.type) ?? new Map(ofType(view, resource.type));
    changed.set(resource.type, names);
    names.set(resource.name, encode(resource));
  }
  return changed.size === 0 ? view : new Map([...view, ...changed]);
}

/** One proxy's own resources on top of those that it shares. Throws as {@link viewOf} does. */
export function layeredView(shared: View, own: View): View {
  for (const [type, names] of own) {
    for (const { name, version } of names.values()) {
      const twin = ofType(shared, type).get(name);
      if (twin !== undefined && twin.version !== version) throw new Error(`two different resources are named ${resourceKey(type, name)}`);
    }
  }
  return new Map(XDS_TYPES.map((type) => [type, layered(ofType(shared, type), ofType(own, type))]));
}

/** The view with the former's map of each type that holds the same; the former itself where nothing differs. A stream need not compare what is the same object. */
export function shareNames(view: View, former: View): View {
  if (view === former) return view;
  const shared = XDS_TYPES.map((type) => {
    const [now, before] = [ofType(view, type), ofType(former, type)];
    return [type, sameNames(now, before) ? before : now] as const;
  });
  return shared.every(([type, names]) => former.get(type) === names) ? former : new Map(shared);
}

const HOSTS_BY_ROUTE = new WeakMap<Names, ReadonlyMap<string, readonly EncodedResource[]>>();

/** Virtual hosts by the route configuration that they belong to. */
export function hostsByRoute(view: View): ReadonlyMap<string, readonly EncodedResource[]> {
  const hosts = ofType(view, "virtualHost");
  const known = HOSTS_BY_ROUTE.get(hosts);
  if (known !== undefined) return known;
  const groups = new Map<string, EncodedResource[]>();
  for (const host of hosts.values()) {
    const route = routeConfigurationOf(host.name);
    const group = groups.get(route);
    if (group === undefined) groups.set(route, [host]);
    else group.push(host);
  }
  HOSTS_BY_ROUTE.set(hosts, groups);
  return groups;
}

/**
 * What keeps a view from working, one sentence each; empty when it is consistent. Three rules, each of which Envoy enforces by a
 * refusal of the whole response, by "no route" or by a listener that warms for ever: every `needs` is met, domains are unique within a
 * route configuration, and a route configuration with VHDS has at least one virtual host.
 */
export function inconsistencies(view: View): readonly string[] {
  const problems = unmetNeeds(view, view);
  const hosts = hostsByRoute(view);
  for (const route of ofType(view, "route").values()) {
    const own = hosts.get(route.name) ?? [];
    if (route.usesVhds && own.length === 0) problems.push(`route/${route.name} takes its virtual hosts by VHDS and has none`);
    problems.push(...repeatedDomains(route, own));
  }
  for (const route of hosts.keys()) {
    if (ofType(view, "route").get(route)?.usesVhds !== true) problems.push(`virtual hosts of ${route}: there is no such route configuration with VHDS`);
  }
  return problems;
}

/**
 * The same of a view that was put together by {@link layeredView}. What many proxies share is checked once, and only where it differs from a former one;
 * of a proxy's own only what it adds; all as a whole where its own takes part in routing, or what is shared does not stand by itself.
 */
export function inconsistenciesOfLayers({ whole, shared, own }: LayeredParts, former: View | undefined): readonly string[] {
  const known =
    PROBLEMS.get(shared) ?? (former !== undefined && PROBLEMS.get(former)?.length === 0 ? inconsistenciesSince(former, shared) : inconsistencies(shared));
  PROBLEMS.set(shared, known);
  const routes = ofType(own, "route").size > 0 || ofType(own, "virtualHost").size > 0;
  return known.length > 0 || routes ? inconsistencies(whole) : unmetNeeds(own, whole);
}

const PROBLEMS = new WeakMap<View, readonly string[]>();

interface LayeredParts {
  readonly whole: View;
  readonly shared: View;
  readonly own: View;
}

/** The same, given that `former` is consistent: where nothing has gone and no domain has moved, only the needs of what has changed are looked at. */
function inconsistenciesSince(former: View, view: View): readonly string[] {
  const problems: string[] = [];
  for (const type of XDS_TYPES) {
    const [before, now] = [ofType(former, type), ofType(view, type)];
    for (const name of changedNames(before, now)) {
      const [was, is] = [before.get(name), now.get(name)];
      const alike = is !== undefined && (was === undefined ? is.domains.length === 0 && !is.usesVhds : was.usesVhds === is.usesVhds && sameDomains(was, is));
      if (!alike) return inconsistencies(view);
      for (const need of is.needs) if (lookUp(view, need) === undefined) problems.push(`${resourceKey(type, name)} needs ${need}, which is not there`);
    }
  }
  return problems;
}

function sameDomains(a: EncodedResource, b: EncodedResource): boolean {
  return a.domains.length === b.domains.length && a.domains.every((domain, index) => domain === b.domains[index]);
}

function unmetNeeds(of: View, within: View): string[] {
  const problems: string[] = [];
  for (const names of of.values()) {
    for (const resource of names.values()) {
      for (const need of resource.needs) {
        if (lookUp(within, need) === undefined) problems.push(`${resourceKey(resource.type, resource.name)} needs ${need}, which is not there`);
      }
    }
  }
  return problems;
}

function repeatedDomains(route: EncodedResource, hosts: readonly EncodedResource[]): readonly string[] {
  const owners = new Map<string, string>();
  const problems: string[] = [];
  for (const owner of [route, ...hosts]) {
    for (const domain of owner.domains) {
      const other = owners.get(domain);
      if (other !== undefined) problems.push(`route/${route.name}: the domain ${domain} stands in ${other} and in ${owner.name}`);
      owners.set(domain, owner.name);
    }
  }
  return problems;
}
