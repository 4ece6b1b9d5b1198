// What the next response of one type carries, given what the client asked for and holds. One row of rules per type.
import { type EncodedResource, emptyEndpoints, routeConfigurationOf } from "../snapshot/encode.ts";
import { isOnDemandRoute } from "../translate/names.ts";
import type { XdsType } from "../translate/resource.ts";
import { isDue } from "./lingering.ts";
import { asksFor, changesOf, hasDroppedRoute, isFrozen, isReady, isRefused, type StreamState, takesHosts, targetOf } from "./stream-state.ts";

/** One line of a response; `resource` undefined stands for a removal. */
export interface Line {
  readonly name: string;
  readonly resource: EncodedResource | undefined;
}

/** Clusters and endpoints are sent in pieces, so that a first sync to many slow proxies does not sit in memory. Nothing serves before routes come. */
const PIECE_BYTES = 262_144;
const SENT_IN_PIECES: ReadonlySet<XdsType> = new Set(["cluster", "endpoint"]);

/** The lines of the next response of this type; empty when nothing may be sent now. */
export function compose(stream: StreamState, type: XdsType, nowMs: number): readonly Line[] {
  const subscription = stream.subscriptions[type];
  // One unanswered response per type: what changes meanwhile is coalesced into the next. Clusters are not held back by their ACK, which
  // comes only after warming, and never while a secret is missing.
  if (!subscription.requested || (type !== "cluster" && subscription.pending.size > 0)) return [];
  if (type === "virtualHost") expandRouteSubscriptions(stream);
  const { wanted, gone } = changesOf(stream, type);
  if (wanted.size === 0 && gone.size === 0 && subscription.owed.size === 0) return [];
  for (let group = subscription.probes.shift(); group !== undefined; group = subscription.probes.shift()) {
    const lines = linesFor(stream, type, group, nowMs);
    if (lines.length > 0) return lines;
  }
  const names = [...new Set([...wanted, ...gone, ...subscription.owed])];
  if (type === "virtualHost") return linesForHosts(stream, names, nowMs);
  return linesFor(stream, type, names, nowMs, SENT_IN_PIECES.has(type) ? PIECE_BYTES : Number.POSITIVE_INFINITY);
}

function linesFor(stream: StreamState, type: XdsType, names: readonly string[], nowMs: number, mostBytes = Number.POSITIVE_INFINITY): readonly Line[] {
  const target = targetOf(stream, type);
  const lines: Line[] = [];
  let sizeBytes = 0;
  for (const name of names) {
    if (sizeBytes >= mostBytes) break;
    const resource = target.get(name);
    const present = resource !== undefined && !(type === "virtualHost" && hasDroppedRoute(stream, routeConfigurationOf(name)));
    const line = present ? additionOf(stream, resource) : removalOf(stream, type, name, nowMs);
    if (line === undefined) continue;
    lines.push(line);
    sizeBytes += line.resource?.sizeBytes ?? 0;
  }
  return lines;
}

/** A domain may move from one host to another, which Envoy takes only within one response: the hosts of a route configuration go together or not at all. */
function linesForHosts(stream: StreamState, names: readonly string[], nowMs: number): readonly Line[] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const route = routeConfigurationOf(name);
    const group = groups.get(route);
    if (group === undefined) groups.set(route, [name]);
    else group.push(name);
  }
  return [...groups.values()].flatMap((group) => {
    const waits = group.some((name) => {
      const resource = targetOf(stream, "virtualHost").get(name);
      return resource !== undefined && asksFor(stream, "virtualHost", name) && !isReady(stream, resource);
    });
    return waits ? [] : linesFor(stream, "virtualHost", group, nowMs);
  });
}

function additionOf(stream: StreamState, resource: EncodedResource): Line | undefined {
  const { type, name, version } = resource;
  const subscription = stream.subscriptions[type];
  const known = subscription.held.get(name)?.version === version && !subscription.owed.has(name);
  if (known || isRefused(subscription, resource) || !asksFor(stream, type, name) || !isReady(stream, resource)) return undefined;
  return { name, resource };
}

/** What to say about a name that the target does not have. */
function removalOf(stream: StreamState, type: XdsType, name: string, nowMs: number): Line | undefined {
  if (isFrozen(stream, type, name)) return undefined;
  const { held, owed } = stream.subscriptions[type];
  const former = held.get(name)?.resource;
  const unknown = owed.has(name) && !held.has(name);
  switch (type) {
    case "listener":
      return held.has(name) || unknown ? { name, resource: undefined } : undefined;
    case "route":
    case "cluster":
      return unknown || (held.has(name) && isDue(stream, type, name, nowMs)) ? { name, resource: undefined } : undefined;
    case "endpoint":
      // A removal would leave the cluster as it is; an assignment without endpoints ends its warming.
      if (unknown) return { name, resource: emptyEndpoints(name) };
      // The endpoints of a cluster that lingers are sent again as they were; where only their version is known, nothing is better than none.
      return owed.has(name) && former !== undefined ? { name, resource: former } : undefined;
    case "secret":
      return unknown ? { name, resource: undefined } : undefined;
    case "extension":
      // Its subscription means that a listener uses it, and a listener without its filter answers 500 to every request.
      return undefined;
    case "virtualHost":
      if (held.has(name)) return hostRemovalOf(stream, name, nowMs);
      // A host that is asked for on demand is about to be translated: it is answered by what it is, whatever that may be.
      if (!unknown || isOnDemandRoute(routeConfigurationOf(name))) return undefined;
      return takesHosts(stream, routeConfigurationOf(name)) ? { name, resource: undefined } : undefined;
  }
}

/**
 * All hosts of a route configuration that goes are removed by name: else a listener that comes back with it warms for ever, and the next
 * reconnect lists hosts that are gone.
 */
function hostRemovalOf(stream: StreamState, name: string, nowMs: number): Line | undefined {
  const route = routeConfigurationOf(name);
  const removal: Line = { name, resource: undefined };
  if (hasDroppedRoute(stream, route)) return removal;
  if (isOnDemandRoute(route) && targetOf(stream, "route").has(route) && awaitsTranslation(stream, name)) return undefined;
  const routeIsHeld = stream.subscriptions.route.held.has(route);
  if (targetOf(stream, "route").has(route)) return routeIsHeld ? removal : undefined;
  return !routeIsHeld && isDue(stream, "virtualHost", name, nowMs) ? removal : undefined;
}

/**
 * Envoy asks for a host once: what it has asked for, or says that it holds, stays until translation has heard of it, also where it was asked of a former control
 * plane that has told nobody.
 */
function awaitsTranslation(stream: StreamState, name: string): boolean {
  const { names, held } = stream.subscriptions.virtualHost;
  return names.has(name) || held.get(name)?.resource === undefined;
}

/** A VHDS subscription to a route configuration's name asks for all its hosts. It is kept until the route configuration is ACKed. */
function expandRouteSubscriptions(stream: StreamState): void {
  const { owed } = stream.subscriptions.virtualHost;
  for (const name of [...owed]) {
    if (!targetOf(stream, "route").has(name)) {
      if (!name.includes("/")) owed.delete(name);
      continue;
    }
    if (!takesHosts(stream, name)) continue;
    owed.delete(name);
    for (const host of targetOf(stream, "virtualHost").keys()) if (routeConfigurationOf(host) === name) owed.add(host);
  }
}
