// A value that was made afresh, with every part of it that is as it was replaced by that very part: what follows can tell by identity what has changed.

/**
 * `now` with what equals the same part of `former` taken from there; `former` itself where nothing differs. Looks into arrays, maps, sets and plain objects;
 * everything else, functions included, is compared by identity. Both are left as they are.
 */
export function shareStructure<Value>(former: unknown, now: Value): Value;
export function shareStructure(former: unknown, now: unknown): unknown {
  if (former === now || typeof now !== "object" || now === null || typeof former !== "object" || former === null) return now;
  if (Array.isArray(now)) return Array.isArray(former) ? shareArray(former, now) : now;
  if (now instanceof Map) return former instanceof Map ? shareMap(former, now) : now;
  if (now instanceof Set) return former instanceof Set && now.size === former.size && [...now].every((member) => former.has(member)) ? former : now;
  return isPlain(now) && isPlain(former) ? shareObject(former, now) : now;
}

function shareArray(former: readonly unknown[], now: readonly unknown[]): readonly unknown[] {
  let same = former.length === now.length;
  const shared = now.map((member, index) => {
    const part = shareStructure(former[index], member);
    same &&= part === former[index];
    return part;
  });
  return same ? former : shared;
}

/** Order counts: what is made of a map may depend on it. */
function shareMap(former: ReadonlyMap<unknown, unknown>, now: ReadonlyMap<unknown, unknown>): ReadonlyMap<unknown, unknown> {
  let same = former.size === now.size;
  const keys = former.keys();
  const shared = new Map<unknown, unknown>();
  for (const [key, member] of now) {
    const before = former.get(key);
    const part = shareStructure(before, member);
    same &&= part === before && keys.next().value === key;
    shared.set(key, part);
  }
  return same ? former : shared;
}

type PlainObject = Readonly<Record<string, unknown>>;

function shareObject(former: PlainObject, now: PlainObject): PlainObject {
  const keys = Object.keys(now);
  let same = Object.keys(former).length === keys.length;
  let differing: Record<string, unknown> | undefined;
  for (const key of keys) {
    const part = shareStructure(former[key], now[key]);
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
