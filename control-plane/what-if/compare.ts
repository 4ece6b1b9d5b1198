// Two meshes that do not run, one before a change and one after it: which resources differ, what that changes for whom, and how many requests and users move.
import { isDeepStrictEqual } from "node:util";
import type { Route, VirtualHost } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { compareText } from "../model/diagnostic.ts";
import { isRecord } from "../model/is-record.ts";
import { clusterChoices } from "../simulate/choose-cluster.ts";
import type { FilterInstance } from "../simulate/decide.ts";
import { faultsFor } from "../simulate/faults.ts";
import type { SimulatedRequest } from "../simulate/request.ts";
import { type DecisionRecord, parseDecisionRecord } from "../translate/decision-record.ts";
import { PICK_HEADER } from "../translate/names.ts";
import { createConfigurations, type ProxyConfiguration } from "./configuration.ts";
import { type FieldChange, fieldChanges } from "./field-changes.ts";
import type { ImaginedMesh } from "./imagine.ts";
import { plainMessage } from "./plain-message.ts";

/** How many users are asked about on a route with a key. */
export const STICKY_USERS = 10_000;

/** A destination of a route before and after, in percent of the route's requests. */
export interface ShareChange {
  /** `reviews.default.svc.cluster.local:9080 v2`. */
  readonly destination: string;
  readonly before: number;
  readonly after: number;
}

/** One route that changes. */
export interface RouteChange {
  readonly change: "added" | "removed" | "changed";
  readonly routeConfiguration: string;
  readonly virtualHost: string;
  readonly route: string;
  readonly shares: readonly ShareChange[];
  /** Percent of the route's requests that go elsewhere than before, at the least. */
  readonly movedPercent: number;
  /** Of users who stay where they are: how many of them move; absent where the route has no key, before or after. */
  readonly sticky?: { readonly users: number; readonly moved: number };
  /** Everything else: conditions, timeouts, rewrites, headers, faults. */
  readonly fields: readonly FieldChange[];
  /** Whom it concerns: workloads and gateways. */
  readonly workloads: readonly string[];
}

/** What a change of the YAML does to one proxy at most: names of changed resources of Envoy, by the YAML that they come from. */
export interface Comparison {
  readonly routes: readonly RouteChange[];
  /** Workloads whose proxies get something else, by `VirtualService default/reviews`. */
  readonly affected: ReadonlyMap<string, readonly string[]>;
}

/** Compares what every kind of proxy (workload and zone) would hold. */
export function compareMeshes(before: ImaginedMesh, after: ImaginedMesh, filter: FilterInstance): Comparison {
  const configurationBefore = createConfigurations(before.mesh);
  const configurationAfter = createConfigurations(after.mesh);
  const proxiesBefore = representatives(before.mesh.proxies);
  const proxiesAfter = representatives(after.mesh.proxies);
  const routes = new Map<string, { readonly change: Omit<RouteChange, "workloads">; readonly workloads: Set<string> }>();
  const affected = new Map<string, Set<string>>();
  for (const key of [...new Set([...proxiesBefore.keys(), ...proxiesAfter.keys()])].sort(compareText)) {
    const [was, is] = [proxiesBefore.get(key), proxiesAfter.get(key)];
    // What is new or gone as a whole is a change of the Deployment, not of routes.
    if (was === undefined || is === undefined) continue;
    const workload = workloadOf(is);
    const [old, now] = [configurationBefore(was), configurationAfter(is)];
    for (const label of changedOrigins(old, now)) affected.set(label, (affected.get(label) ?? new Set()).add(workload));
    for (const change of routeChanges(old, now, filter)) {
      const text = JSON.stringify(change);
      const known = routes.get(text) ?? { change, workloads: new Set() };
      known.workloads.add(workload);
      routes.set(text, known);
    }
  }
  return {
    routes: [...routes.values()].map(({ change, workloads }) => ({ ...change, workloads: [...workloads].sort(compareText) })),
    affected: new Map([...affected].map(([label, workloads]) => [label, [...workloads].sort(compareText)])),
  };
}

/** One proxy for each workload and zone: its copies are alike. */
function representatives(proxies: readonly Proxy[]): ReadonlyMap<string, Proxy> {
  const byKey = new Map<string, Proxy>();
  for (const proxy of proxies) {
    const key = `${proxy.kind} ${proxy.namespace}/${proxy.workload} ${proxy.locality.zone}`;
    if (!byKey.has(key)) byKey.set(key, proxy);
  }
  return byKey;
}

function workloadOf({ kind, namespace, workload }: Proxy): string {
  return kind === "gateway" ? `gateway ${workload}` : `${namespace}/${workload}`;
}

/** The YAML behind every resource of Envoy that is other than it was. */
function changedOrigins(before: ProxyConfiguration, after: ProxyConfiguration): ReadonlySet<string> {
  const labels = new Set<string>();
  const keyed = ({ resources }: ProxyConfiguration) => new Map(resources.map((resource) => [`${resource.type}/${resource.name}`, resource]));
  const [old, now] = [keyed(before), keyed(after)];
  for (const key of new Set([...old.keys(), ...now.keys()])) {
    const [was, is] = [old.get(key), now.get(key)];
    if (was !== undefined && is !== undefined && Buffer.compare(was.body, is.body) === 0) continue;
    for (const { resource } of [...(was?.origins ?? []), ...(is?.origins ?? [])]) labels.add(resource);
  }
  return labels;
}

function routeChanges(before: ProxyConfiguration, after: ProxyConfiguration, filter: FilterInstance): readonly Omit<RouteChange, "workloads">[] {
  const [old, now] = [hostsOf(before), hostsOf(after)];
  const changes: Omit<RouteChange, "workloads">[] = [];
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort(compareText)) {
    const [routeConfiguration = "", virtualHost = ""] = key.split("\n");
    const [was, is] = [routesByName(old.get(key)), routesByName(now.get(key))];
    for (const route of new Set([...is.keys(), ...was.keys()])) {
      const change = compareRoutes(was.get(route) ?? [], is.get(route) ?? [], filter);
      if (change !== undefined) changes.push({ ...change, routeConfiguration, virtualHost, route });
    }
  }
  return changes;
}

function hostsOf({ resources, routeConfiguration }: ProxyConfiguration): ReadonlyMap<string, VirtualHost> {
  const names = resources.filter(({ type }) => type === "route").map(({ name }) => name);
  return new Map(names.flatMap((name) => (routeConfiguration(name)?.virtualHosts ?? []).map((host): [string, VirtualHost] => [`${name}\n${host.name}`, host])));
}

/** A route of the YAML is several of Envoy's: one for each of its matches, and a pair apart by method. */
function routesByName(host: VirtualHost | undefined): ReadonlyMap<string, readonly Route[]> {
  const byName = new Map<string, Route[]>();
  for (const route of host?.routes ?? []) byName.set(route.name, [...(byName.get(route.name) ?? []), route]);
  return byName;
}

const ANY_REQUEST: SimulatedRequest = { method: "GET", scheme: "http", authority: "", path: "/", headers: {}, random: 0 };

type BareChange = Omit<RouteChange, "workloads" | "routeConfiguration" | "virtualHost" | "route">;

function compareRoutes(before: readonly Route[], after: readonly Route[], filter: FilterInstance): BareChange | undefined {
  const [was, is] = [before[0], after[0]];
  const shares = shareChanges(sharesOf(was), sharesOf(is));
  const moved = shares.reduce((sum, change) => sum + Math.max(0, change.after - change.before), 0);
  const fields = was === undefined || is === undefined ? [] : distinct(fieldChanges(before.map(settingsOf), after.map(settingsOf)));
  const sticky = was === undefined || is === undefined ? undefined : stickyMoves(was, is, filter);
  if (was !== undefined && is !== undefined && moved === 0 && fields.length === 0 && (sticky?.moved ?? 0) === 0) return undefined;
  return {
    change: was === undefined ? "added" : is === undefined ? "removed" : "changed",
    shares: shares.filter((change) => change.before !== change.after),
    movedPercent: was === undefined || is === undefined ? 0 : round(moved),
    ...(sticky === undefined ? {} : { sticky }),
    fields,
  };
}

/** The same change of a pair of routes, or of all matches of one, is said once. */
function distinct(changes: readonly FieldChange[]): readonly FieldChange[] {
  const bare = changes.map((change) => ({ ...change, path: change.path.replace(/^\[\d+\]\.?/, "") }));
  return [...new Map(bare.map((change) => [JSON.stringify(change), change])).values()];
}

/** By destination, over all zones, in percent; exact where a decision record has the weights. */
function sharesOf(route: Route | undefined): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  const record = route === undefined ? undefined : recordOf(route);
  if (record !== undefined) {
    const sum = record.candidates.reduce((total, { weight }) => total + weight, 0);
    for (const { identity, weight } of record.candidates) {
      const [host, port, subset] = identity.split("|");
      add(shares, `${host}:${port}${subset ? ` ${subset}` : ""}`, (100 * weight) / sum);
    }
    return shares;
  }
  if (route?.action.case !== "route") return shares;
  for (const { cluster = "", share } of clusterChoices(route.action.value, ANY_REQUEST)?.choices ?? []) add(shares, clusterText(cluster), 100 * share);
  return shares;
}

function clusterText(cluster: string): string {
  const [, port, subset, host] = /^outbound\|(\d+)\|([^|]*)\|([^;]*)/.exec(cluster) ?? [];
  return host === undefined ? cluster : `${host}:${port}${subset ? ` ${subset}` : ""}`;
}

function add(shares: Map<string, number>, destination: string, share: number): void {
  shares.set(destination, (shares.get(destination) ?? 0) + share);
}

function shareChanges(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): readonly ShareChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort(compareText);
  return names.map((destination) => ({ destination, before: round(before.get(destination) ?? 0), after: round(after.get(destination) ?? 0) }));
}

/** To a hundredth of a point: rounding of weights is no change. */
function round(percent: number): number {
  return Math.round(percent * 100) / 100;
}

/** Everything about a route but where it leads to, as plain values. */
function settingsOf(route: Route): unknown {
  const { typedPerFilterConfig, metadata: _, requestHeadersToRemove: removed, responseHeadersToAdd: added, ...others } = route;
  // How the filter's pick travels is no setting of the user's.
  const requestHeadersToRemove = removed.filter((name) => name !== PICK_HEADER);
  const responseHeadersToAdd = added.filter(({ header }) => !header?.value.includes("%FILTER_STATE(wasm."));
  const rest = { ...others, requestHeadersToRemove, responseHeadersToAdd };
  const faults = faultsFor([typedPerFilterConfig], ANY_REQUEST, "");
  const filters = Object.keys(typedPerFilterConfig).filter((name) => name !== "weft" && name !== "envoy.filters.http.fault");
  const extensions = filters.map((name) => [name, Buffer.from(typedPerFilterConfig[name]?.value ?? new Uint8Array()).toString("base64")]);
  return { ...withoutDestinations(plainMessage(rest)), ...(faults === undefined ? {} : { faults }), ...Object.fromEntries(extensions) };
}

function withoutDestinations(json: unknown): Record<string, unknown> {
  if (!isRecord(json)) return {};
  const { action, name: _, ...others } = json;
  if (!isRecord(action) || !isRecord(action.route)) return { ...others, action };
  const { clusterSpecifier: __, ...forwarding } = action.route;
  return { ...others, route: forwarding };
}

/**
 * Asks the filter for the same users before and after. A side with one destination has them all there. Undefined where no side has a key, where the keys
 * differ, or where one side draws.
 */
function stickyMoves(before: Route, after: Route, filter: FilterInstance): RouteChange["sticky"] {
  const [was, is] = [recordOf(before), recordOf(after)];
  const key = is?.key ?? was?.key;
  if (key === undefined || key.kind === "none" || (was !== undefined && !sameKey(was, key))) return undefined;
  if (isDeepStrictEqual(was, is)) return { users: STICKY_USERS, moved: 0 };
  const destinationOf = (route: Route): ((request: SimulatedRequest) => string | undefined) => {
    if (recordOf(route) !== undefined) return (request) => filter.decide(route, request)?.candidate.identity;
    const [only, ...others] = [...sharesOf(route).keys()];
    const [host, subset = ""] = only?.split(" ") ?? [];
    const identity = others.length === 0 && host !== undefined ? `${host.replace(/:(\d+)$/, "|$1")}|${subset}` : undefined;
    return () => identity;
  };
  const [from, to] = [destinationOf(before), destinationOf(after)];
  if (from(ANY_REQUEST) === undefined || to(ANY_REQUEST) === undefined) return undefined;
  let moved = 0;
  for (let user = 0; user < STICKY_USERS; user++) {
    const value = `user-${user}`;
    const headers = key.kind === "header" ? { [key.name.toLowerCase()]: [value] } : { cookie: [`${key.name}=${value}`] };
    const request = { ...ANY_REQUEST, headers };
    if (from(request) !== to(request)) moved += 1;
  }
  return { users: STICKY_USERS, moved };
}

function sameKey({ key }: DecisionRecord, other: DecisionRecord["key"]): boolean {
  return key.kind === other.kind && key.kind !== "none" && other.kind !== "none" && key.name === other.name;
}

function recordOf(route: Route): DecisionRecord | undefined {
  const decision = route.metadata?.filterMetadata.weft?.decision;
  const parsed = typeof decision === "string" ? parseDecisionRecord(decision) : undefined;
  return parsed?.kind === "record" ? parsed.record : undefined;
}
