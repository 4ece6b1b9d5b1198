// What one client asked for of one type, what it holds, and what it has been sent but has not answered. Pure state: no order, no gates.
import type { EncodedResource } from "../snapshot/encode.ts";
import type { XdsType } from "../translate/resource.ts";
import { type Held, type HeldNames, heldOf, newHeldNames } from "./held.ts";
import type { Portion } from "./portions.ts";
import type { DeltaRequest } from "./wire.ts";

/** One line of a response: the resource sent (undefined: its removal), and what the client held before. */
export interface SentItem {
  readonly name: string;
  readonly sent: Held | undefined;
  readonly former: Held | undefined;
}

/** State of one (stream, type). */
export interface Subscription {
  readonly type: XdsType;
  /** Whether any request of this type has come. */
  requested: boolean;
  wildcard: boolean;
  readonly names: Set<string>;
  readonly held: HeldNames;
  /** Names that must be answered whatever the client is thought to hold. */
  readonly owed: Set<string>;
  /** Responses without an answer yet, by nonce. */
  readonly pending: Map<string, readonly SentItem[]>;
  /** `name@version` that this client refused: never sent to it again. */
  readonly refused: Set<string>;
  /** Groups of names to be sent apart from each other, to find which of them was refused. */
  readonly probes: (readonly string[])[];
  /** How many portions of a first sync were sent. */
  portions: number;
}

/** How a request answers a response. */
export type Answer =
  | { readonly kind: "none" }
  | { readonly kind: "ack"; readonly items: readonly SentItem[] }
  | { readonly kind: "nack"; readonly items: readonly SentItem[]; readonly reason: string };

/** Version of what the client may or may not hold: no content hashes to it. */
export const UNKNOWN_VERSION = "";

const NO_ANSWER: Answer = { kind: "none" };

/** A type of which nothing was asked yet. */
export function newSubscription(type: XdsType): Subscription {
  return {
    type,
    requested: false,
    wildcard: false,
    names: new Set(),
    held: newHeldNames(),
    owed: new Set(),
    pending: new Map(),
    refused: new Set(),
    probes: [],
    portions: 0,
  };
}

/** Whether the client asked for this name, by itself or by the wildcard. */
export function isSubscribed(subscription: Subscription, name: string): boolean {
  return subscription.wildcard || subscription.names.has(name);
}

/**
 * Takes in a request: first what it subscribes to, then what it answers. A stale nonce drops the answer, never the subscription: "Any
 * DeltaDiscoveryRequest can be either or both of: informing the server of what resources the client has gained/lost interest in, or
 * (N)ACKing an earlier resource update" (discovery.proto).
 */
export function receive(subscription: Subscription, request: DeltaRequest): Answer {
  const first = !subscription.requested;
  subscription.requested = true;
  if (first) {
    // "the first message of each type_url of a reconnected stream populates this map" (discovery.proto, initial_resource_versions).
    for (const [name, version] of request.initialVersions) subscription.held.set(name, { version, resource: undefined, acked: true });
    // "Client sends a request with resource_names_subscribe unset. Server interprets this as a subscription to *" (xDS protocol).
    if (request.subscribe.length === 0) subscription.wildcard = true;
  }
  for (const name of request.unsubscribe) unsubscribe(subscription, name);
  for (const name of request.subscribe) subscribe(subscription, name, first);
  return request.nonce === "" ? NO_ANSWER : answer(subscription, request);
}

/** Notes what a response carries. `resource` undefined stands for a removal. */
export function recordSent(
  subscription: Subscription,
  nonce: string,
  lines: readonly { readonly name: string; readonly resource: EncodedResource | undefined }[],
): void {
  const items = lines.map(({ name, resource }): SentItem => {
    const former = subscription.held.get(name);
    const sent = resource === undefined ? undefined : heldOf(resource).sent;
    if (sent === undefined) subscription.held.delete(name);
    else subscription.held.set(name, sent);
    subscription.owed.delete(name);
    return { name, sent, former };
  });
  awaitAnswer(subscription, nonce, items);
}

/** Notes the same of a portion of the first sync. */
export function recordPortion(subscription: Subscription, portion: Portion): void {
  subscription.portions += 1;
  subscription.held.add(portion.resources);
  if (subscription.owed.size > 0) for (const { name } of portion.items) subscription.owed.delete(name);
  awaitAnswer(subscription, portion.nonce, portion.items);
}

function awaitAnswer({ pending }: Subscription, nonce: string, items: readonly SentItem[]): void {
  pending.set(nonce, items);
  if (pending.size <= MOST_PENDING) return;
  // A map keeps the order of insertion: the first is the oldest.
  const [oldest] = pending.keys();
  if (oldest !== undefined) pending.delete(oldest);
}

/** Clusters are sent without awaiting the answer to those before, which a proxy may withhold for as long as a cluster warms. An answer to what is older says nothing new. */
export const MOST_PENDING = 64;

/** What a refusal of this version is remembered by. */
export function refusalKey(name: string, version: string): string {
  return `${name}@${version}`;
}

/**
 * "The server must respond with all resources listed in resource_names_subscribe, even if it believes the client has the most recent
 * version of them" (discovery.proto). The first request is another case: there the versions that the client reports say what it has.
 */
function subscribe(subscription: Subscription, name: string, first: boolean): void {
  if (name === "*") {
    subscription.wildcard = true;
    return;
  }
  subscription.names.add(name);
  if (!first || !isReported(subscription, name)) subscription.owed.add(name);
}

/** A VHDS subscription names the route configuration, its resources `<route configuration>/<host>`. */
function isReported(subscription: Subscription, name: string): boolean {
  if (subscription.held.has(name)) return true;
  return subscription.type === "virtualHost" && [...subscription.held.keys()].some((host) => host.startsWith(`${name}/`));
}

/**
 * Under a wildcard the client cannot know whether the name is part of it, and waits to be told: the resource again, or its removal
 * (Envoy, delta_subscription_state.h: "ambiguous" resources).
 */
function unsubscribe(subscription: Subscription, name: string): void {
  if (name === "*") {
    subscription.wildcard = false;
    for (const held of [...subscription.held.keys()]) if (!subscription.names.has(held)) subscription.held.delete(held);
    return;
  }
  subscription.names.delete(name);
  subscription.owed.delete(name);
  if (subscription.wildcard) subscription.owed.add(name);
  else if (subscription.type !== "virtualHost") subscription.held.delete(name);
}

function answer(subscription: Subscription, request: DeltaRequest): Answer {
  const items = subscription.pending.get(request.nonce);
  if (items === undefined) return NO_ANSWER;
  subscription.pending.delete(request.nonce);
  if (request.error !== undefined) {
    for (const item of items) revert(subscription, item, items.length === 1);
    return { kind: "nack", items, reason: request.error };
  }
  // The others may be many, and nobody asks.
  if (subscription.type !== "route" && subscription.type !== "secret") return { kind: "ack", items };
  for (const { name, sent } of items) {
    if (sent?.resource !== undefined && subscription.held.get(name) === sent) subscription.held.set(name, heldOf(sent.resource).acked);
  }
  return { kind: "ack", items };
}

/**
 * Back to what the client held before a refused response, unless something newer is on its way. Of several clusters or listeners Envoy
 * applies the good ones all the same, so after a refusal of more than one nobody knows what it holds; of every other type, nothing was applied.
 */
function revert(subscription: Subscription, { name, sent, former }: SentItem, alone: boolean): void {
  if (subscription.held.get(name) !== sent) return;
  const applies = subscription.type === "cluster" || subscription.type === "listener";
  if (applies && !alone) subscription.held.set(name, { version: UNKNOWN_VERSION, resource: former?.resource, acked: false });
  else if (former === undefined) subscription.held.delete(name);
  else subscription.held.set(name, former);
}
