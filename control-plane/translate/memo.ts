// What was made for the last translation, with all that it was made of: an explicit input and output of the next one. What has the same inputs, compared by
// identity, is handed on as the same object.

interface Entry<Value> {
  readonly inputs: readonly unknown[];
  readonly value: Value;
}

/** Results of one kind, by key. */
export interface Remembered<Value> {
  readonly entries: ReadonlyMap<string, Entry<Value>>;
  /**
   * The result under this key: the former one where its inputs are the same, else a fresh one. `make` may depend on nothing but its key and inputs. What is
   * not asked for is forgotten.
   */
  readonly recall: (key: string, inputs: readonly unknown[], make: () => Value) => Value;
}

/** Goes on from what was remembered for a former translation. `most`: up to so many results are kept though nobody asks for them. */
export function rememberAfter<Value>(former: Remembered<Value> | undefined, most = 0): Remembered<Value> {
  // Of the former its results alone are held on to, else every translation would hold all those before it.
  const before = former?.entries;
  const entries = new Map(former !== undefined && former.entries.size <= most ? former.entries : []);
  return {
    entries,
    recall: (key, inputs, make) => {
      const known = entries.get(key) ?? before?.get(key);
      const entry = known !== undefined && sameInputs(known.inputs, inputs) ? known : { inputs, value: make() };
      entries.set(key, entry);
      return entry.value;
    },
  };
}

function sameInputs(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((input, index) => input === b[index]));
}

/** A list as it was, where its members are the same objects. */
export function sameList<Member>(former: readonly Member[] | undefined, now: readonly Member[]): readonly Member[] {
  return former !== undefined && sameInputs(former, now) ? former : now;
}
