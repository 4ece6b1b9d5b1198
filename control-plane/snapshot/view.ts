// All that one proxy is to hold, by type and name, and the check that it fits together: what Envoy would refuse or warm for ever is found here first.
import type { TranslatedResource, XdsType } from "../translate/resource.ts";
import { XDS_TYPES } from "../translate/resource.ts";
import { type EncodedResource, resourceKey, routeConfigurationOf } from "./encode.ts";

/** Resources of one proxy. Proxies that are to hold the same share the object. */
export type View = ReadonlyMap<XdsType, ReadonlyMap<string, EncodedResource>>;

const NONE: ReadonlyMap<string, EncodedResource> = new Map();

/** The resources of one type, by name. */
export function ofType(view: View, type: XdsType): ReadonlyMap<string, EncodedResource> {
  return view.get(type) ?? NONE;
}

/** The resource that a `type/name` of `needs` points to. */
export function lookUp(view: View, key: string): EncodedResource | undefined {
  const slash = key.indexOf("/");
  const type = XDS_TYPES.find((candidate) => candidate === key.slice(0, slash));
  return type === undefined ? undefined : view.get(type)?.get(key.slice(slash + 1));
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

/** Virtual hosts by the route configuration that they belong to. */
export function hostsByRoute(view: View): ReadonlyMap<string, readonly EncodedResource[]> {
  const groups = new Map<string, EncodedResource[]>();
  for (const host of ofType(view, "virtualHost").values()) {
    const route = routeConfigurationOf(host.name);
    const group = groups.get(route);
    if (group === undefined) groups.set(route, [host]);
    else group.push(host);
  }
  return groups;
}

/**
 * What keeps a view from working, one sentence each; empty when it is consistent. Three rules, each of which Envoy enforces by a
 * refusal of the whole response, by "no route" or by a listener that warms for ever: every `needs` is met, domains are unique within a
 * route configuration, and a route configuration with VHDS has at least one virtual host.
 */
export function inconsistencies(view: View): readonly string[] {
  const problems: string[] = [];
  for (const names of view.values()) {
    for (const resource of names.values()) {
      for (const need of resource.needs) {
        if (lookUp(view, need) === undefined) problems.push(`${resourceKey(resource.type, resource.name)} needs ${need}, which is not there`);
      }
    }
  }
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
