// The state machine of one delta stream: a request, a snapshot or the time goes in, the next response comes out. No I/O and no clock:
// whoever owns the connection asks for responses as long as it can write.
import type { EncodedResource } from "../snapshot/encode.ts";
import { changedNames } from "../snapshot/layers.ts";
import type { Refusal } from "../snapshot/quarantine.ts";
import type { ProxySnapshot } from "../snapshot/snapshot.ts";
import { hostsByRoute, lookUp, ofType } from "../snapshot/view.ts";
import { XDS_TYPES, type XdsType } from "../translate/resource.ts";
import { compose, type Line } from "./compose.ts";
import { nextDueMs, startClocks } from "./lingering.ts";
import { nextPortion, type Portion } from "./portions.ts";
import { changesOf, follow, holdsAll, isRefused, markStale, namesOf, type StreamState, targetOf } from "./stream-state.ts";
import { isSubscribed, receive, recordPortion, recordSent, refusalKey, type SentItem } from "./subscription.ts";
import { type DeltaRequest, type DeltaResponse, typeOfUrl } from "./wire.ts";

/** Takes in a request. Returns the resource that it refuses, where exactly one is refused; a request of an unknown type changes nothing. */
export function receiveRequest(stream: StreamState, request: DeltaRequest): Refusal | undefined {
  const type = typeOfUrl(request.typeUrl);
  if (type === undefined) return undefined;
  const subscription = stream.subscriptions[type];
  const warms = type === "endpoint" && !subscription.requested && !stream.subscriptions.cluster.requested;
  const asks = !subscription.requested || request.subscribe.length > 0 || request.unsubscribe.length > 0;
  const answer = receive(
    subscription,
    type === "endpoint" ? { ...request, subscribe: request.subscribe.map((name) => targetOf(stream, type).get(name)?.name ?? name) } : request,
  );
  if (warms) oweEndpointsOfWarmingClusters(stream);
  if (asks || answer.kind === "nack") markStale(stream, type);
  if (answer.kind === "ack" && type === "route") pushHostsOfFreshRoutes(stream, answer.items);
  return answer.kind === "nack" ? narrowDown(stream, type, answer.items, answer.reason) : undefined;
}

/** Sets what the client is to hold from now on. Whatever was not sent of the former target is forgotten. */
export function setTarget(stream: StreamState, target: ProxySnapshot, removalDelayMs: number): void {
  const former = stream.target;
  stream.target = target;
  stream.removalDelayMs = removalDelayMs;
  stream.formerDelayMs = Math.max(stream.formerDelayMs, removalDelayMs);
  const comparable = former !== undefined && former.frozen === target.frozen;
  for (const type of XDS_TYPES) {
    const [before, now] = [former && ofType(former.view, type), ofType(target.view, type)];
    if (!comparable || before === undefined) markStale(stream, type);
    else if (before !== now) {
      follow(stream, type, changedNames(before, now));
      if (type === "route") markStale(stream, "virtualHost");
    }
  }
}

/**
 * The next response, or undefined when there is nothing to send for now. Additions go in the order of XDS_TYPES, so that whatever is
 * named is there before what names it; removals go when nothing names them any more, clusters last.
 */
export function nextResponse(stream: StreamState, nowMs: number): DeltaResponse | undefined {
  if (stream.target === undefined) return undefined;
  const response = firstResponse(stream, nowMs) ?? (startClocks(stream, nowMs) ? firstResponse(stream, nowMs) : undefined);
  if (response === undefined && isSynced(stream, stream.target)) stream.ackedRevision = Math.max(stream.ackedRevision, stream.target.revision);
  return response;
}

/**
 * When {@link nextResponse} must be asked again though nothing comes in: the earliest delayed removal after the time at which it was asked last.
 * What was due by then and was not sent waits for an answer of the client, not for the time.
 */
export function wakeAtMs(stream: StreamState, askedAtMs: number): number | undefined {
  return nextDueMs(stream, askedAtMs);
}

function firstResponse(stream: StreamState, nowMs: number): DeltaResponse | undefined {
  for (const type of XDS_TYPES) {
    const portion = nextPortion(stream, type);
    if (portion !== undefined) return sendPortion(stream, type, portion);
    const lines = compose(stream, type, nowMs);
    if (lines.length > 0 || awaitsAnswer(stream, type)) return send(stream, type, lines);
  }
  return undefined;
}

/** Envoy asks for listeners only once its first request for clusters is answered, or after 15 s: a proxy that is to hold none is told so. */
function awaitsAnswer(stream: StreamState, type: XdsType): boolean {
  if ((type !== "cluster" && type !== "listener") || stream.answered.has(type)) return false;
  const { requested, held } = stream.subscriptions[type];
  return requested && held.size === 0 && targetOf(stream, type).size === 0;
}

function send(stream: StreamState, type: XdsType, lines: readonly Line[]): DeltaResponse {
  const { counters, subscriptions } = stream;
  counters.responses += 1;
  stream.answered.add(type);
  const nonce = String(counters.responses);
  if (type === "route") noteFreshRoutes(stream, lines);
  recordSent(subscriptions[type], nonce, lines);
  const changes = changesOf(stream, type);
  for (const { name } of lines) {
    changes.wanted.delete(name);
    changes.gone.delete(name);
  }
  if (type === "cluster")
    oweEndpoints(
      stream,
      lines.flatMap(({ resource }) => resource ?? []),
    );
  if (type === "route") markStale(stream, "virtualHost");
  const resources = lines.flatMap(({ resource }) => (resource === undefined ? [] : [resource]));
  const removed = lines.flatMap(({ name, resource }) => (resource === undefined ? [name] : []));
  counters.resources += resources.length;
  counters.removals += removed.length;
  return { type, nonce, resources, removed };
}

/** The same for a portion of a first sync. */
function sendPortion(stream: StreamState, type: XdsType, portion: Portion): DeltaResponse {
  const { counters, subscriptions } = stream;
  const { list, nonce } = portion;
  counters.responses += 1;
  counters.resources += list.length;
  stream.answered.add(type);
  recordPortion(subscriptions[type], portion);
  const { wanted } = changesOf(stream, type);
  if (wanted.size === list.length) wanted.clear();
  else for (const { name } of list) wanted.delete(name);
  if (type === "cluster") oweEndpoints(stream, list);
  // All hosts of all route configurations were in it, so that who asked for those has them.
  if (type === "virtualHost") for (const route of targetOf(stream, "route").keys()) subscriptions.virtualHost.owed.delete(route);
  return { type, nonce, resources: list, removed: [], alike: true };
}

/**
 * A new or changed cluster warms until its endpoints come again, also where Envoy is subscribed to them already (the former version of
 * the cluster, or another cluster with the same endpoints) and so does not ask. Where it is not subscribed, it will ask. On a stream of which
 * the first request for endpoints is still under way, nobody knows yet: that request will report them as held.
 */
function oweEndpoints(stream: StreamState, clusters: readonly EncodedResource[]): void {
  const { endpoint } = stream.subscriptions;
  for (const resource of clusters) {
    for (const name of namesOf(resource, "endpoint")) if (!endpoint.requested || isSubscribed(endpoint, name)) endpoint.owed.add(name);
  }
}

/**
 * Envoy holds back its cluster requests while a cluster warms. So on a new stream endpoints are asked for before clusters only where the
 * last stream broke between a cluster and its endpoints: they are sent again, though the client reports their versions. Which ones
 * warm, nobody knows.
 */
function oweEndpointsOfWarmingClusters(stream: StreamState): void {
  const { endpoint } = stream.subscriptions;
  for (const name of endpoint.names) if (targetOf(stream, "endpoint").has(name)) endpoint.owed.add(name);
}

function noteFreshRoutes(stream: StreamState, lines: readonly Line[]): void {
  for (const { name, resource } of lines) {
    const former = stream.subscriptions.route.held.get(name);
    const hadHosts = former !== undefined && former.resource?.usesVhds !== false;
    if (resource?.usesVhds === true && !hadHosts) stream.fresh.add(name);
  }
}

/** A route configuration that is new to the client starts without hosts, whatever was sent before under its name. */
function pushHostsOfFreshRoutes(stream: StreamState, items: readonly SentItem[]): void {
  const { held } = stream.subscriptions.virtualHost;
  for (const { name } of items) {
    if (!stream.fresh.delete(name)) continue;
    for (const host of held.keys()) if (host.startsWith(`${name}/`) && targetOf(stream, "virtualHost").has(host)) held.delete(host);
  }
  markStale(stream, "virtualHost");
}

/**
 * Of a refused response with one resource, that one is the culprit. Of several, Envoy's text need not say which, and of routes and
 * virtual hosts none was applied: the response is cut in halves, each sent alone, until the culprit stands alone and the rest is applied.
 */
function narrowDown(stream: StreamState, type: XdsType, items: readonly SentItem[], reason: string): Refusal | undefined {
  const subscription = stream.subscriptions[type];
  const [only] = items;
  if (items.length === 1 && only !== undefined) {
    const resource = only.sent?.resource;
    if (resource === undefined) {
      subscription.held.delete(only.name);
      return undefined;
    }
    subscription.refused.add(refusalKey(resource.name, resource.version));
    return { proxyId: stream.proxyId, resource, reason };
  }
  const ordered = [...items].sort((a, b) => Number(gainsDomains(a)) - Number(gainsDomains(b)));
  const middle = Math.ceil(ordered.length / 2);
  subscription.probes.unshift(...[ordered.slice(0, middle), ordered.slice(middle)].map((half) => half.map(({ name }) => name)));
  return undefined;
}

/** Hosts that only give up domains go before those that take new ones: apart from each other, the other order would be a duplicate. */
function gainsDomains({ sent, former }: SentItem): boolean {
  const had = new Set(former?.resource?.domains ?? []);
  return sent?.resource?.domains.some((domain) => !had.has(domain)) ?? false;
}

/** A client that holds precisely its target need not have a list of its own. */
function shareHeld(stream: StreamState, target: ProxySnapshot): void {
  if (target.frozen.size > 0) return;
  for (const type of SHARED_TYPES) {
    const { held } = stream.subscriptions[type];
    const names = ofType(target.view, type);
    const added = held.added();
    if (names.size > 0 && (added?.length !== 1 || added[0] !== names) && changesOf(stream, type).gone.size === 0) held.replaceBy(names);
  }
}

/** Those of which a client may hold many, and of which nobody asks whether it has acknowledged them. */
const SHARED_TYPES = ["cluster", "endpoint", "virtualHost"] as const satisfies readonly XdsType[];

/**
 * Whether everything that concerns this client is sent and ACKed: all clusters and listeners, all that those need, and all that was
 * asked for. Removals that linger do not count.
 */
function isSynced(stream: StreamState, target: ProxySnapshot): boolean {
  if (stream.ackedRevision >= target.revision) return false;
  const { subscriptions } = stream;
  if (!subscriptions.cluster.requested || !subscriptions.listener.requested) return false;
  for (const type of XDS_TYPES) if (subscriptions[type].pending.size > 0 || changesOf(stream, type).wanted.size > 0) return false;
  // What is held is held in the target's version or was refused: nothing else is neither wanted nor under way.
  if (XDS_TYPES.every((type) => holdsAll(stream, type) && subscriptions[type].refused.size === 0)) {
    shareHeld(stream, target);
    return true;
  }
  // From what names to what is named: what is missing shows soonest there.
  for (const type of [...XDS_TYPES].reverse()) {
    const subscription = subscriptions[type];
    for (const resource of targetOf(stream, type).values()) {
      if (isRefused(subscription, resource)) return false;
      if (!subscription.held.has(resource.name)) continue;
      for (const need of resource.needs) {
        const needed = lookUp(target.view, need);
        if (needed !== undefined && !subscriptions[needed.type].held.has(needed.name)) return false;
      }
    }
  }
  const hosts = subscriptions.virtualHost.held;
  return [...hostsByRoute(target.view)].every(([route, group]) => !subscriptions.route.held.has(route) || group.every(({ name }) => hosts.has(name)));
}
