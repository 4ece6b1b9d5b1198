// A YAML document as a tree of values that know where they stand. Aliases and merge keys are resolved; errors of a schema are mended on the
// tree, so that places stay right. Plain values come out of it, and the place of any field.
import type { Json } from "../model/last-good.ts";
import type { FieldPath } from "../model/resource.ts";

/** Line and column, from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type Scalar = string | number | boolean | null;

/** `place` of a field's value is the field's: where its key stands in a map, where its item begins in a list. `text` is a scalar as written. */
export type Tree =
  | { readonly kind: "scalar"; readonly value: Scalar; readonly text?: string; readonly place: Place }
  | { readonly kind: "list"; readonly items: readonly Tree[]; readonly place: Place }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Tree>; readonly place: Place };

/** The tree's value without its places. */
export function plainValue(tree: Tree): Json {
  switch (tree.kind) {
    case "scalar":
      return tree.value;
    case "list":
      return tree.items.map(plainValue);
    case "map": {
      const value: Record<string, Json> = {};
      for (const [key, entry] of tree.entries) define(value, key, plainValue(entry));
      return value;
    }
  }
}

/** An assignment that `__proto__` cannot turn into something else. */
function define(target: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** A tree without places of its own: every value stands at `place`. For documents that are remembered and no longer in a file. */
export function treeOf(value: Json, place: Place): Tree {
  if (Array.isArray(value)) return { kind: "list", items: value.map((item: Json) => treeOf(item, place)), place };
  if (typeof value === "object" && value !== null) {
    return { kind: "map", entries: new Map(Object.entries(value).map(([key, entry]) => [key, treeOf(entry, place)])), place };
  }
  return { kind: "scalar", value: value as Scalar, place };
}

/** The value at `path`, or undefined where there is none. */
export function treeAt(tree: Tree, path: FieldPath): Tree | undefined {
  let current: Tree | undefined = tree;
  for (const step of path) {
    current = current === undefined ? undefined : childOf(current, step);
    if (current === undefined) return undefined;
  }
  return current;
}

/** Where the value at `path` stands, or its nearest parent that is written down. */
export function placeOf(tree: Tree, path: FieldPath): Place {
  let current = tree;
  for (const step of path) {
    const child = childOf(current, step);
    if (child === undefined) break;
    current = child;
  }
  return current.place;
}

/** The same tree with `replacement` at `path`; undefined takes the field or item out. A path that leads nowhere changes nothing. */
export function withTreeAt(tree: Tree, path: FieldPath, replacement: Tree | undefined): Tree {
  const [step, ...rest] = path;
  if (step === undefined) return replacement ?? tree;
  const child = childOf(tree, step);
  if (child === undefined) return tree;
  const changed = rest.length === 0 ? replacement : withTreeAt(child, rest, replacement);
  if (tree.kind === "list") return { ...tree, items: tree.items.flatMap((item, index) => (index !== step ? [item] : changed === undefined ? [] : [changed])) };
  if (tree.kind !== "map") return tree;
  const entries = new Map(tree.entries);
  if (changed === undefined) entries.delete(String(step));
  else entries.set(String(step), changed);
  return { ...tree, entries };
}

function childOf(tree: Tree, step: string | number): Tree | undefined {
  if (tree.kind === "map") return tree.entries.get(String(step));
  if (tree.kind === "list" && typeof step === "number") return tree.items[step];
  return undefined;
}
