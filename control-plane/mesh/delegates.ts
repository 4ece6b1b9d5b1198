// The routes that a VirtualService consists of, with those of the VirtualServices that it delegates to in their place, merged with the route that delegates.
// Source: Istio pilot/pkg/model/virtualservice.go, mergeVirtualServicesIfNeeded: one level, a delegate's conditions must be a part of the root's.
import type { StringMatch } from "../model/fields.ts";
import type { VirtualService } from "../model/resource.ts";
import type { HttpMatch, HttpRoute } from "../model/virtual-service.ts";
import { gatewayKey, MESH_GATEWAY } from "./gateways.ts";
import { isExported } from "./hosts.ts";

/** A route as it applies. */
export interface WrittenRoute {
  /** With what the delegating route adds. */
  readonly route: HttpRoute;
  /** Where it is written: the VirtualService, or its delegate. Short names resolve in its namespace. */
  readonly owner: VirtualService;
  /** Its place in `owner.spec.http`. */
  readonly index: number;
  /** The VirtualService that binds to hosts and gateways, and that names the route. */
  readonly root: VirtualService;
}

/** A route that cannot delegate as it is written. */
export type DelegationFault =
  /** There is no such VirtualService, or it is hidden from the root's namespace, or it has hosts of its own. */
  | { readonly kind: "unknown"; readonly root: VirtualService; readonly index: number; readonly key: string; readonly hasHosts: boolean }
  /** The route of the delegate cannot apply inside the root's. */
  | { readonly kind: "conflict"; readonly root: VirtualService; readonly index: number; readonly owner: VirtualService; readonly ownerIndex: number };

/** Routes of a VirtualService in the order of the YAML. */
export interface Expansion {
  readonly routes: readonly WrittenRoute[];
  readonly faults: readonly DelegationFault[];
}

const EXPANSIONS = new WeakMap<readonly VirtualService[], Map<VirtualService, Expansion>>();

/** The routes of `root`. `all` are the mesh's VirtualServices. Made once for each. */
export function expandDelegates(all: readonly VirtualService[], root: VirtualService): Expansion {
  const known = EXPANSIONS.get(all) ?? new Map<VirtualService, Expansion>();
  EXPANSIONS.set(all, known);
  const found = known.get(root) ?? expand(all, root);
  known.set(root, found);
  return found;
}

function expand(all: readonly VirtualService[], root: VirtualService): Expansion {
  const faults: DelegationFault[] = [];
  const routes = root.spec.http.flatMap((route, index): readonly WrittenRoute[] => {
    if (route.delegate === undefined) return [{ route, owner: root, index, root }];
    const { name = "", namespace = "" } = route.delegate;
    const ownNamespace = namespace === "" ? root.namespace : namespace;
    const owner = all.find((candidate) => candidate.namespace === ownNamespace && candidate.name === name);
    const hasHosts = (owner?.spec.hosts.length ?? 0) > 0;
    if (owner === undefined || hasHosts || !isExported(owner.spec.exportTo, owner.namespace, root.namespace)) {
      faults.push({ kind: "unknown", root, index, key: `${ownNamespace}/${name}`, hasHosts });
      return [];
    }
    return owner.spec.http.flatMap((part, ownerIndex) => {
      const merged = part.delegate === undefined ? mergeRoutes(route, root.namespace, part, owner.namespace) : undefined;
      if (merged === undefined) faults.push({ kind: "conflict", root, index, owner, ownerIndex });
      return merged === undefined ? [] : [{ route: merged, owner, index: ownerIndex, root }];
    });
  });
  return { routes, faults };
}

/** The delegate's settings, and the root's where it has none. Undefined where their conditions exclude each other. */
function mergeRoutes(root: HttpRoute, rootNamespace: string, part: HttpRoute, partNamespace: string): HttpRoute | undefined {
  const match = mergeMatches(
    root.match.map((condition) => withGatewayKeys(condition, rootNamespace)),
    part.match.map((condition) => withGatewayKeys(condition, partNamespace)),
  );
  if (match === undefined) return undefined;
  const { delegate: _, name, ...inherited } = root;
  const own = Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)));
  const joined = joinNames(name, part.name);
  return { ...inherited, ...own, route: part.route, match, name: joined };
}

function joinNames(root: string | undefined, part: string | undefined): string | undefined {
  if (part === undefined || part === "") return root;
  return root === undefined || root === "" ? part : `${root}-${part}`;
}

function withGatewayKeys(match: HttpMatch, namespace: string): HttpMatch {
  return { ...match, gateways: match.gateways.map((name) => (name === MESH_GATEWAY ? name : gatewayKey(name, namespace))) };
}

/** Each condition of the delegate inside each of the root's that it does not exclude; undefined where one fits into none. */
function mergeMatches(roots: readonly HttpMatch[], parts: readonly HttpMatch[]): HttpMatch[] | undefined {
  if (roots.length === 0) return [...parts];
  if (parts.length === 0) return [...roots];
  const merged: HttpMatch[] = [];
  for (const part of parts) {
    const fitting = roots.filter((root) => !exclude(root, part));
    if (fitting.length === 0) return undefined;
    merged.push(...fitting.map((root) => mergeMatch(root, part)));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, part: HttpMatch): HttpMatch {
  return {
    name: joinNames(root.name, part.name),
    uri: part.uri ?? root.uri,
    scheme: part.scheme ?? root.scheme,
    method: part.method ?? root.method,
    authority: part.authority ?? root.authority,
    headers: { ...root.headers, ...part.headers },
    withoutHeaders: { ...root.withoutHeaders, ...part.withoutHeaders },
    queryParams: { ...root.queryParams, ...part.queryParams },
    port: part.port ?? root.port,
    sourceLabels: { ...root.sourceLabels, ...part.sourceLabels },
    sourceNamespace: part.sourceNamespace ?? root.sourceNamespace,
    gateways: part.gateways.length > 0 ? part.gateways : root.gateways,
    ignoreUriCase: part.ignoreUriCase,
    statPrefix: part.statPrefix ?? root.statPrefix,
  };
}

/** Source: Istio, hasConflict. */
function exclude(root: HttpMatch, part: HttpMatch): boolean {
  const texts = (["uri", "scheme", "method", "authority"] as const).some((field) => textsExclude(root[field], part[field]));
  const maps = (["headers", "withoutHeaders", "queryParams"] as const).some((field) =>
    Object.entries(part[field]).some(([name, condition]) => textsExclude(root[field][name], condition)),
  );
  const gateways = root.gateways.length > 0 && part.gateways.length > 0 && part.gateways.some((gateway) => !root.gateways.includes(gateway));
  return (
    texts ||
    maps ||
    gateways ||
    root.ignoreUriCase !== part.ignoreUriCase ||
    (root.port !== undefined && part.port !== undefined && root.port !== part.port) ||
    ((root.sourceNamespace ?? "") !== "" && root.sourceNamespace !== part.sourceNamespace) ||
    Object.entries(part.sourceLabels).some(([label, value]) => (root.sourceLabels[label] ?? value) !== value)
  );
}

/** Whether the delegate's condition is no part of the root's. Two regular expressions cannot be compared. Source: Istio, stringMatchConflict. */
function textsExclude(root: StringMatch | undefined, part: StringMatch | undefined): boolean {
  if (root === undefined || part === undefined) return false;
  if (root.kind === "present" || part.kind === "present") return root.kind !== part.kind;
  if (root.kind === "regex" || part.kind === "regex") return true;
  if (root.kind === "exact") return part.kind !== "exact" || part.value !== root.value;
  return !part.value.startsWith(root.value);
}
