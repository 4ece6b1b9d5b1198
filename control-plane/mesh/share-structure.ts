// A value that was made afresh, with every part of it that is as it was replaced by that very part: what follows can tell by identity what has changed.
import type { Mesh } from "./mesh.ts";

/** Objects that are never looked into nor replaced: others tell them apart by identity. */
export type Atoms = ReadonlySet<unknown>;

const NO_ATOMS: Atoms = new Set();

/**
 * `now` with what equals the same part of `former` taken from there; `former` itself where nothing differs. Looks into arrays, maps, sets and plain objects;
 * everything else, functions included, is compared by identity. Both are left as they are.
 */
export function shareStructure<Value>(former: unknown, now: Value, atoms?: Atoms): Value;
export function shareStructure(former: unknown, now: unknown, atoms: Atoms = NO_ATOMS): unknown {
  if (former === now || typeof now !== "object" || now === null || typeof former !== "object" || former === null || atoms.has(now)) return now;
  if (Array.isArray(now)) return Array.isArray(former) ? shareArray(former, now, atoms) : now;
  if (now instanceof Map) return former instanceof Map ? shareMap(former, now, atoms) : now;
  if (now instanceof Set) return former instanceof Set && now.size === former.size && [...now].every((member) => former.has(member)) ? former : now;
  return isPlain(now) && isPlain(former) ? shareObject(former, now, atoms) : now;
}

function shareArray(former: readonly unknown[], now: readonly unknown[], atoms: Atoms): readonly unknown[] {
  let same = former.length === now.length;
  const shared = now.map((member, index) => {
    const part = shareStructure(former[index], member, atoms);
    same &&= part === former[index];
    return part;
  });
  return same ? former : shared;
}

/** Order counts: what is made of a map may depend on it. */
function shareMap(former: ReadonlyMap<unknown, unknown>, now: ReadonlyMap<unknown, unknown>, atoms: Atoms): ReadonlyMap<unknown, unknown> {
  let same = former.size === now.size;
  const keys = former.keys();
  const shared = new Map<unknown, unknown>();
  for (const [key, member] of now) {
    const before = former.get(key);
    const part = shareStructure(before, member, atoms);
    same &&= part === before && keys.next().value === key;
    shared.set(key, part);
  }
  return same ? former : shared;
}

type PlainObject = Readonly<Record<string, unknown>>;

function shareObject(former: PlainObject, now: PlainObject, atoms: Atoms): PlainObject {
  const keys = Object.keys(now);
  let same = Object.keys(former).length === keys.length;
  let differing: Record<string, unknown> | undefined;
  for (const key of keys) {
    const part = shareStructure(former[key], now[key], atoms);
    same &&= part === former[key] && Object.hasOwn(former, key);
    if (part === now[key]) continue;
    differing ??= { ...now };
    differing[key] = part;
  }
  return same ? former : (differing ?? now);
}

function isPlain(value: object): value is PlainObject {
  return Object.getPrototypeOf(value) === Object.prototype;
}

/** The list with each member that is as it was replaced by that very one, found by its key; `former` itself where all are. */
export function shareMembers<Member>(former: readonly Member[], now: readonly Member[], keyOf: (member: Member) => string): readonly Member[] {
  const byKey = new Map(former.map((member) => [keyOf(member), member]));
  const shared = now.map((member) => shareStructure(byKey.get(keyOf(member)), member));
  return shared.length === former.length && shared.every((member, index) => member === former[index]) ? former : shared;
}

/** A mesh whose unchanged parts are those of the former one. Instances and proxies are to be the same objects where they are as they were: see {@link shareMembers}. */
export function shareMesh(former: Mesh | undefined, now: Mesh): Mesh {
  return shareStructure(former, now, new Set<unknown>([...now.instances, ...now.proxies]));
}
