// Which field stands at a place of a document: the reverse of locating a field.
import type { Place, Tree } from "../../source/tree.ts";

/**
 * `spec.http[0].route[1].weight`; for the document itself `the document`. An item of a list begins where its first field does: it is that field where `what` is
 * said of a field of that name, else the item.
 */
export function fieldAt(trees: readonly Tree[], place: Place, what: string): string {
  const paths = trees.flatMap((tree) => pathsAt(tree, "", place));
  const named = paths.findLast((path) => new RegExp(`\\b${lastName(path)}\\b`).test(what));
  return (named ?? paths[0]) || "the document";
}

function lastName(path: string): string {
  return /(\w+)$/.exec(path)?.[1] ?? "^$";
}

/** Outermost first. */
function pathsAt(tree: Tree, path: string, place: Place): readonly string[] {
  const own = tree.place.line === place.line && tree.place.column === place.column ? [path] : [];
  if (tree.kind === "scalar") return own;
  const children = tree.kind === "list" ? tree.items.map((item, index) => [`${path}[${index}]`, item] as const) : mapChildren(tree.entries, path);
  return [...own, ...children.flatMap(([at, child]) => pathsAt(child, at, place))];
}

function mapChildren(entries: ReadonlyMap<string, Tree>, path: string): readonly (readonly [string, Tree])[] {
  return [...entries].map(
    ([name, child]) => [/^\w+$/.test(name) ? `${path}${path === "" ? "" : "."}${name}` : `${path}[${JSON.stringify(name)}]`, child] as const,
  );
}
