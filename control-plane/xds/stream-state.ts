// State of one delta stream, and the questions that every decision on it asks: what differs, what was asked for, what is in place.
import { type EncodedResource, resourceKey, routeConfigurationOf } from "../snapshot/encode.ts";
import type { Names } from "../snapshot/layers.ts";
import type { ProxySnapshot } from "../snapshot/snapshot.ts";
import { ofType } from "../snapshot/view.ts";
import type { XdsType } from "../translate/resource.ts";
import { isSubscribed, newSubscription, refusalKey, type Subscription, UNKNOWN_VERSION } from "./subscription.ts";

/** What was sent on one stream, for benchmarks and for the proof that an up-to-date proxy is sent nothing. */
export interface StreamCounters {
  responses: number;
  resources: number;
  removals: number;
}

export interface StreamState {
  readonly proxyId: string;
  readonly subscriptions: Readonly<Record<XdsType, Subscription>>;
  /** The newest snapshot; undefined until the proxy appears in one. */
  target: ProxySnapshot | undefined;
  /** Of the target. */
  removalDelayMs: number;
  /** The longest removal delay of all targets since the client was last known to hold no route of a former one. */
  formerDelayMs: number;
  /** Until when a request may still hold a route that was replaced: one that waits in a fault delay, or between retries. */
  heldUntilMs: number;
  /** Route configurations sent to a client that did not have them: their hosts follow the ACK. */
  readonly fresh: Set<string>;
  /** What differs, by type; absent where it must be compared again. */
  readonly changes: Map<XdsType, Changes>;
  /** `type/name` of what is to go, with the time at which nothing named it any more. */
  readonly lingering: Map<string, number>;
  /** Types of which something was sent, be it that there is nothing. */
  readonly answered: Set<XdsType>;
  ackedRevision: number;
  readonly counters: StreamCounters;
}

/** Names of one type at which the client differs from its target. */
export interface Changes {
  /** Asked for, and not held in the target's version. */
  readonly wanted: Set<string>;
  /** Held, and no longer to be. */
  readonly gone: Set<string>;
}

/** A stream that has seen no request yet. */
export function newStream(proxyId: string): StreamState {
  return {
    proxyId,
    subscriptions: {
      cluster: newSubscription("cluster"),
      secret: newSubscription("secret"),
      endpoint: newSubscription("endpoint"),
      listener: newSubscription("listener"),
      route: newSubscription("route"),
      virtualHost: newSubscription("virtualHost"),
      extension: newSubscription("extension"),
    },
    target: undefined,
    removalDelayMs: 0,
    formerDelayMs: 0,
    heldUntilMs: 0,
    fresh: new Set(),
    changes: new Map(),
    lingering: new Map(),
    answered: new Set(),
    ackedRevision: 0,
    counters: { responses: 0, resources: 0, removals: 0 },
  };
}

/** The target's resources of a type; none before the first snapshot. */
export function targetOf(stream: StreamState, type: XdsType): Names {
  return stream.target === undefined ? NOTHING : ofType(stream.target.view, type);
}

const NOTHING: Names = new Map();

/** What differs for a type. Compared in full once, then kept up by what is sent and by {@link follow}, until {@link markStale}. */
export function changesOf(stream: StreamState, type: XdsType): Changes {
  const known = stream.changes.get(type);
  if (known !== undefined) return known;
  const changes: Changes = { wanted: new Set(), gone: new Set() };
  const target = targetOf(stream, type);
  target.forEach((_, name) => {
    compare(stream, type, name, target, changes);
  });
  for (const name of stream.subscriptions[type].held.keys()) if (!target.has(name)) compare(stream, type, name, target, changes);
  stream.changes.set(type, changes);
  return changes;
}

/** Compares these names again: the target differs from the former one at no others. */
export function follow(stream: StreamState, type: XdsType, names: readonly string[]): void {
  const changes = stream.changes.get(type);
  if (changes === undefined) return;
  const target = targetOf(stream, type);
  for (const name of names) {
    changes.wanted.delete(name);
    changes.gone.delete(name);
    compare(stream, type, name, target, changes);
  }
}

function compare(stream: StreamState, type: XdsType, name: string, target: Names, changes: Changes): void {
  const subscription = stream.subscriptions[type];
  const resource = target.get(name);
  const held = subscription.held.get(name);
  if (resource !== undefined) {
    if (held?.version === resource.version) {
      if (held.resource === undefined) subscription.held.set(name, { ...held, resource });
    } else if (asksFor(stream, type, name) && !isRefused(subscription, resource)) changes.wanted.add(name);
  }
  if (held === undefined) return;
  const goes = resource === undefined || (type === "virtualHost" && hasDroppedRoute(stream, routeConfigurationOf(name)));
  if (goes && !isFrozen(stream, type, name)) changes.gone.add(name);
}

/** Whether the client holds, in whatever version, every resource of the target's type. Told without looking at each. */
export function holdsAll(stream: StreamState, type: XdsType): boolean {
  const target = targetOf(stream, type);
  const { held } = stream.subscriptions[type];
  let beyond = changesOf(stream, type).gone.size;
  const prefix = resourceKey(type, "");
  for (const key of stream.target?.frozen ?? []) {
    const name = key.startsWith(prefix) ? key.slice(prefix.length) : undefined;
    if (name !== undefined && held.has(name) && !target.has(name)) beyond += 1;
  }
  return held.size - beyond === target.size;
}

/** The type must be compared again. Virtual hosts hang on their route configurations. */
export function markStale(stream: StreamState, type: XdsType): void {
  stream.changes.delete(type);
  if (type === "route") stream.changes.delete("virtualHost");
}

/** Whether a resource of the target is to be sent to this client at all. */
export function asksFor(stream: StreamState, type: XdsType, name: string): boolean {
  const subscription = stream.subscriptions[type];
  if (!subscription.requested) return false;
  return type === "virtualHost" ? takesHosts(stream, routeConfigurationOf(name)) : isSubscribed(subscription, name);
}

/**
 * Whether the client will take virtual hosts of this route configuration. Only the first one of a stream makes Envoy ask for virtual
 * hosts, so a subscription says nothing about the others; and a host that comes before Envoy has taken its route configuration is ACKed
 * and dropped. So hosts are keyed on the ACK of their route configuration.
 */
export function takesHosts(stream: StreamState, route: string): boolean {
  const held = stream.subscriptions.route.held.get(route);
  return held?.acked === true && !stream.fresh.has(route) && targetOf(stream, "route").get(route)?.usesVhds === true;
}

/** Whether the client has unsubscribed from a route configuration: then it has dropped the hosts with it. */
export function hasDroppedRoute(stream: StreamState, route: string): boolean {
  const { route: routes } = stream.subscriptions;
  return routes.requested && !isSubscribed(routes, route);
}

/** Whether a resource was set aside with nothing in its place: it is neither sent nor removed. */
export function isFrozen(stream: StreamState, type: XdsType, name: string): boolean {
  const frozen = stream.target?.frozen;
  if (frozen === undefined || frozen.size === 0) return false;
  return frozen.has(resourceKey(type, name)) || (type === "virtualHost" && frozen.has(resourceKey("route", routeConfigurationOf(name))));
}

export function isRefused(subscription: Subscription, resource: EncodedResource): boolean {
  return subscription.refused.size > 0 && subscription.refused.has(refusalKey(resource.name, resource.version));
}

/**
 * Make before break: what names a cluster may go only once that cluster can serve. That is: it was sent, and so were its endpoints
 * after it, since a new cluster warms until they come. Not its ACK: that waits for secrets and warming of every other cluster.
 */
export function isReady(stream: StreamState, resource: EncodedResource): boolean {
  if ((resource.type !== "listener" && resource.type !== "route" && resource.type !== "virtualHost") || resource.needs.length === 0) return true;
  return allInPlace(stream) || namesOf(resource, "cluster").every((name) => isInPlace(stream, name));
}

/** The names of one type among what a resource needs. */
export function namesOf({ needs }: EncodedResource, type: XdsType): readonly string[] {
  if (needs.length === 0) return needs;
  const known = NAMES.get(needs) ?? new Map<XdsType, readonly string[]>();
  NAMES.set(needs, known);
  const found = known.get(type);
  if (found !== undefined) return found;
  const prefix = `${type}/`;
  const names = needs.filter((need) => need.startsWith(prefix)).map((need) => need.slice(prefix.length));
  known.set(type, names);
  return names;
}

/** Asked on every stream for the same resources. */
const NAMES = new WeakMap<readonly string[], Map<XdsType, readonly string[]>>();

/** Whether every cluster of the target can serve, told without looking at each: then nothing has to wait for one. */
export function allInPlace(stream: StreamState): boolean {
  const { cluster, endpoint } = stream.subscriptions;
  const settled = changesOf(stream, "cluster").wanted.size === 0 && cluster.refused.size === 0;
  return settled && endpoint.owed.size === 0 && holdsAll(stream, "cluster") && holdsAll(stream, "endpoint");
}

function isInPlace(stream: StreamState, cluster: string): boolean {
  const { cluster: clusters, endpoint: endpoints } = stream.subscriptions;
  const held = clusters.held.get(cluster);
  if (held === undefined || held.version === UNKNOWN_VERSION) return false;
  const resource = targetOf(stream, "cluster").get(cluster) ?? held.resource;
  return resource === undefined || namesOf(resource, "endpoint").every((name) => endpoints.held.has(name) && !endpoints.owed.has(name));
}
