// The first sync of a type, which is the same for all clients of one view: its resources are cut into portions once, and a client that holds nothing yet is
// sent one after the other. Such a response is put together once, and what the stream notes of it takes no longer than for one resource.
import type { EncodedResource } from "../snapshot/encode.ts";
import { layersOf, type Names } from "../snapshot/layers.ts";
import { ofType, type View } from "../snapshot/view.ts";
import type { XdsType } from "../translate/resource.ts";
import { heldOf } from "./held.ts";
import { allInPlace, changesOf, namesOf, type StreamState } from "./stream-state.ts";
import type { SentItem } from "./subscription.ts";

/** A part of a first sync; the same object for all clients that are sent it. */
export interface Portion {
  readonly resources: ReadonlyMap<string, EncodedResource>;
  readonly list: readonly EncodedResource[];
  readonly items: readonly SentItem[];
  /** No other response of the stream has it: a portion is sent once, and other nonces are numbers. */
  readonly nonce: string;
}

/**
 * Small enough that a first sync to many proxies does not sit in memory, large enough that answers to it do not cost more than it does. Of a portion of
 * clusters the endpoints are counted in, since they are asked for together.
 */
const PORTION_BYTES = 262_144;

/** The next portion of the first sync of this type; undefined where the client is past it, or anything about it is out of the ordinary. */
export function nextPortion(stream: StreamState, type: XdsType): Portion | undefined {
  if (stream.target === undefined || (type !== "cluster" && type !== "endpoint" && type !== "virtualHost")) return undefined;
  const subscription = stream.subscriptions[type];
  if (!subscription.requested || subscription.probes.length > 0 || (type !== "cluster" && subscription.pending.size > 0)) return undefined;
  const sent = subscription.held.added();
  if (sent === undefined || sent.length !== subscription.portions) return undefined;
  const { wanted } = changesOf(stream, type);
  if (wanted.size === 0) return undefined;
  const portions = portionsOf(stream.target.view, type);
  const portion = portions[sent.length];
  if (portion === undefined || portion.list.length > wanted.size) return undefined;
  if (sent.some((resources, index) => resources !== portions[index]?.resources) || portion.list.some(({ name }) => !wanted.has(name))) return undefined;
  return type === "virtualHost" && !allInPlace(stream) ? undefined : portion;
}

type PortionedType = "cluster" | "endpoint";
type Portions = Readonly<Record<PortionedType, readonly Portion[]>>;

const OF_VIEW = new WeakMap<View, Portions>();

function portionsOf(view: View, type: PortionedType | "virtualHost"): readonly Portion[] {
  if (type === "virtualHost") return hostPortions(ofType(view, type));
  const known = OF_VIEW.get(view);
  if (known !== undefined) return known[type];
  const [clusters, endpoints] = [layersOf(ofType(view, "cluster")), layersOf(ofType(view, "endpoint"))];
  // One proxy's own come last, so that those before are the same objects for all that share them.
  const shared = sharedPortions(clusters[0], endpoints[0]);
  const own = layerPortions(clusters[1], endpoints[1], shared);
  const portions = { cluster: [...shared.cluster, ...own.cluster], endpoint: [...shared.endpoint, ...own.endpoint] };
  OF_VIEW.set(view, portions);
  return portions[type];
}

const NONE: Names = new Map();
const NO_PORTIONS: Portions = { cluster: [], endpoint: [] };
const OF_CLUSTERS = new WeakMap<Names, { readonly endpoints: Names; readonly portions: Portions }>();

function sharedPortions(clusters: Names = NONE, endpoints: Names = NONE): Portions {
  const known = OF_CLUSTERS.get(clusters);
  if (known?.endpoints === endpoints) return known.portions;
  const portions = layerPortions(clusters, endpoints, NO_PORTIONS);
  OF_CLUSTERS.set(clusters, { endpoints, portions });
  return portions;
}

/** A client asks for endpoints when it has the clusters that name them: so to each portion of clusters belongs one of endpoints. */
function layerPortions(clusters: Names = NONE, endpoints: Names = NONE, before: Portions): Portions {
  const portions: Record<PortionedType, Portion[]> = { cluster: [], endpoint: [] };
  let [ofClusters, ofEndpoints, sizeBytes] = [new Map<string, EncodedResource>(), new Map<string, EncodedResource>(), 0];
  const placed = new Set<string>();
  const cut = (): void => {
    if (ofClusters.size > 0) portions.cluster.push(portionOf(ofClusters, before.cluster.length + portions.cluster.length));
    if (ofEndpoints.size > 0) portions.endpoint.push(portionOf(ofEndpoints, before.endpoint.length + portions.endpoint.length));
    [ofClusters, ofEndpoints, sizeBytes] = [new Map(), new Map(), 0];
  };
  clusters.forEach((cluster, name) => {
    ofClusters.set(name, cluster);
    sizeBytes += cluster.sizeBytes;
    for (const needed of namesOf(cluster, "endpoint")) {
      const assignment = placed.has(needed) ? undefined : endpoints.get(needed);
      placed.add(needed);
      if (assignment === undefined) continue;
      ofEndpoints.set(needed, assignment);
      sizeBytes += assignment.sizeBytes;
    }
    if (sizeBytes >= PORTION_BYTES) cut();
  });
  cut();
  return portions;
}

const OF_HOSTS = new WeakMap<Names, readonly Portion[]>();

/** A domain may move from one host to another, which Envoy takes only within one response: all hosts go together. */
function hostPortions(hosts: Names): readonly Portion[] {
  const [shared = NONE, own = NONE] = layersOf(hosts);
  if (shared.size === 0 || own.size > 0) return [];
  const portions = OF_HOSTS.get(shared) ?? [portionOf(shared, 0)];
  OF_HOSTS.set(shared, portions);
  return portions;
}

function portionOf(resources: ReadonlyMap<string, EncodedResource>, index: number): Portion {
  const list = [...resources.values()];
  const items = list.map((resource): SentItem => ({ name: resource.name, sent: heldOf(resource).sent, former: undefined }));
  return { resources, list, items, nonce: `portion-${index}` };
}
