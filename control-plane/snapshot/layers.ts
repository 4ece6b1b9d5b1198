// Resources of one type by name: those that many proxies share, with the few of one proxy's own on top. What differs between two such maps is found
// once for all proxies that share it.
import type { EncodedResource } from "./encode.ts";

/** Resources of one type, by name. Never changed once made. */
export type Names = ReadonlyMap<string, EncodedResource>;

interface Layers {
  readonly shared: Names;
  readonly own: Names;
}

const LAYERS = new WeakMap<Names, Layers>();

/** Both maps as one, without a copy; where both have a name, `own` counts. */
export function layered(shared: Names, own: Names): Names {
  if (own.size === 0) return shared;
  if (shared.size === 0) return own;
  function* entries(): Generator<[string, EncodedResource], undefined> {
    yield* own;
    for (const entry of shared) if (!own.has(entry[0])) yield entry;
    return undefined;
  }
  function* keys(): Generator<string, undefined> {
    for (const [name] of entries()) yield name;
    return undefined;
  }
  function* values(): Generator<EncodedResource, undefined> {
    for (const [, resource] of entries()) yield resource;
    return undefined;
  }
  let size = shared.size;
  for (const name of own.keys()) if (!shared.has(name)) size += 1;
  const both: Names = {
    size,
    get: (name) => own.get(name) ?? shared.get(name),
    has: (name) => own.has(name) || shared.has(name),
    entries,
    keys,
    values,
    forEach: (visit) => {
      own.forEach((resource, name) => {
        visit(resource, name, both);
      });
      shared.forEach((resource, name) => {
        if (!own.has(name)) visit(resource, name, both);
      });
    },
    [Symbol.iterator]: entries,
  };
  LAYERS.set(both, { shared, own });
  return both;
}

/** What {@link layered} was given; a map that was not made by it is all shared. */
export function layersOf(names: Names): readonly Names[] {
  const layers = LAYERS.get(names);
  return layers === undefined ? [names] : [layers.shared, layers.own];
}

/** Whether both hold the same resources. */
export function sameNames(a: Names, b: Names): boolean {
  if (a === b) return true;
  const [layersOfA, layersOfB] = [LAYERS.get(a), LAYERS.get(b)];
  if (layersOfA !== undefined && layersOfA.shared === layersOfB?.shared) return sameNames(layersOfA.own, layersOfB.own);
  if (a.size !== b.size) return false;
  for (const [name, resource] of a) if (b.get(name) !== resource) return false;
  return true;
}

const CHANGED = new WeakMap<Names, WeakMap<Names, readonly string[]>>();

/** All names at which the two differ, and perhaps some at which they do not. Maps that many proxies share are compared once. */
export function changedNames(former: Names, now: Names): readonly string[] {
  if (former === now) return [];
  const [before, after] = [LAYERS.get(former), LAYERS.get(now)];
  if (before === undefined && after === undefined) return comparedOnce(former, now);
  const own = comparedOnce(before?.own ?? NONE, after?.own ?? NONE);
  const shared = comparedOnce(before?.shared ?? former, after?.shared ?? now);
  return own.length === 0 ? shared : [...shared, ...own];
}

const NONE: Names = new Map();

function comparedOnce(former: Names, now: Names): readonly string[] {
  if (former === now) return [];
  const ofFormer = CHANGED.get(former) ?? new WeakMap<Names, readonly string[]>();
  CHANGED.set(former, ofFormer);
  const known = ofFormer.get(now);
  if (known !== undefined) return known;
  const changed: string[] = [];
  for (const [name, resource] of now) if (former.get(name) !== resource) changed.push(name);
  for (const name of former.keys()) if (!now.has(name)) changed.push(name);
  ofFormer.set(now, changed);
  return changed;
}
