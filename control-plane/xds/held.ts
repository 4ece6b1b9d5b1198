// What one client holds of one type, by name: whole maps of resources that many clients hold alike, with what is this client's own on top. So a thousand
// streams that hold the same mesh cost little more memory than one, and to note that a client was sent all of a map takes no longer than one resource.
import type { EncodedResource } from "../snapshot/encode.ts";

/** A resource that the client holds, or was sent and is expected to hold. */
export interface Held {
  readonly version: string;
  /** Undefined where the client reported the version on connecting and it was not compared yet. */
  readonly resource: EncodedResource | undefined;
  /** Kept up for route configurations and secrets: of other types nobody asks. */
  readonly acked: boolean;
}

/** Resources by name that several clients hold. Never changed. */
export type HeldAlike = ReadonlyMap<string, EncodedResource>;

export interface HeldNames extends Iterable<readonly [string, Held]> {
  readonly size: number;
  readonly get: (name: string) => Held | undefined;
  readonly has: (name: string) => boolean;
  readonly keys: () => Iterable<string>;
  readonly set: (name: string, held: Held) => void;
  readonly delete: (name: string) => void;
  /** Adds resources none of which is held. */
  readonly add: (alike: HeldAlike) => void;
  /** The maps that were added, where nothing else is held and nothing of them has gone; else undefined. */
  readonly added: () => readonly HeldAlike[] | undefined;
  /** Says that precisely these are held: what makes out the client's own is forgotten. */
  readonly replaceBy: (alike: HeldAlike) => void;
}

/** Nothing is held yet. */
export function newHeldNames(): HeldNames {
  let layers: readonly HeldAlike[] = [];
  let size = 0;
  /** Undefined stands for what a layer has and the client does not hold. */
  const own = new Map<string, Held | undefined>();
  const layered = (name: string): Held | undefined => {
    for (const layer of layers) {
      const resource = layer.get(name);
      if (resource !== undefined) return heldOf(resource).sent;
    }
    return undefined;
  };
  const get = (name: string): Held | undefined => {
    if (own.size === 0) return layers.length === 0 ? undefined : layered(name);
    const held = own.get(name);
    return held !== undefined || layers.length === 0 || own.has(name) ? held : layered(name);
  };
  function* entries(): Generator<readonly [string, Held], undefined> {
    for (const [name, held] of own) if (held !== undefined) yield [name, held];
    for (const layer of layers) for (const [name, resource] of layer) if (!own.has(name)) yield [name, heldOf(resource).sent];
    return undefined;
  }
  function* keys(): Generator<string, undefined> {
    for (const [name] of entries()) yield name;
    return undefined;
  }
  return {
    get size() {
      return size;
    },
    get,
    has: (name) => get(name) !== undefined,
    keys,
    set: (name, held) => {
      if (get(name) === undefined) size += 1;
      own.set(name, held);
    },
    delete: (name) => {
      if (get(name) === undefined) return;
      size -= 1;
      if (layered(name) === undefined) own.delete(name);
      else own.set(name, undefined);
    },
    add: (alike) => {
      layers = [...layers, alike];
      size += alike.size;
    },
    added: () => (own.size === 0 ? layers : undefined),
    replaceBy: (alike) => {
      own.clear();
      layers = [alike];
      size = alike.size;
    },
    [Symbol.iterator]: entries,
  };
}

interface HeldForms {
  readonly sent: Held;
  readonly acked: Held;
}

/** A resource as held by any number of clients. */
const HELD = new WeakMap<EncodedResource, HeldForms>();

/** A resource as sent, and as acknowledged: the same objects for all clients. */
export function heldOf(resource: EncodedResource): HeldForms {
  const known = HELD.get(resource);
  if (known !== undefined) return known;
  const { version } = resource;
  const forms: HeldForms = { sent: { version, resource, acked: false }, acked: { version, resource, acked: true } };
  HELD.set(resource, forms);
  return forms;
}
