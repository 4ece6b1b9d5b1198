// The documents of a file as they are written, of any kind: what an analysis reads that no schema of Weft's has, such as Pods.
import type { Origin } from "../model/diagnostic.ts";
import type { Json } from "../model/last-good.ts";
import type { FieldPath } from "../model/resource.ts";
import type { ParsedFile } from "./parse-file.ts";
import { placeOf, plainValue, type Tree, treeAt } from "./tree.ts";

/** One document with a kind and a name. */
export interface RawDocument {
  readonly kind: string;
  /** `apps` of `apps/v1`; empty for the core group. */
  readonly group: string;
  /** `default` where the document says none. */
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly content: Json;
  readonly origin: Origin;
  readonly locate: (path: FieldPath) => Origin;
}

/** All documents of a file that have a kind and a name, lists taken apart. */
export function rawDocuments({ file, trees }: Pick<ParsedFile, "file" | "trees">): readonly RawDocument[] {
  return trees.flatMap(itemsOf).flatMap((tree) => rawDocument(file, tree));
}

function itemsOf(tree: Tree): readonly Tree[] {
  const items = scalarAt(tree, ["kind"]) === "List" ? treeAt(tree, ["items"]) : undefined;
  return items?.kind === "list" ? items.items : [tree];
}

function rawDocument(file: string, tree: Tree): readonly RawDocument[] {
  const kind = scalarAt(tree, ["kind"]);
  const name = scalarAt(tree, ["metadata", "name"]);
  if (kind === undefined || name === undefined) return [];
  const apiVersion = scalarAt(tree, ["apiVersion"]) ?? "";
  return [
    {
      kind,
      name,
      group: apiVersion.slice(0, Math.max(0, apiVersion.lastIndexOf("/"))),
      namespace: scalarAt(tree, ["metadata", "namespace"]) ?? "default",
      labels: textsAt(tree, ["metadata", "labels"]),
      annotations: textsAt(tree, ["metadata", "annotations"]),
      content: plainValue(tree),
      origin: { file, ...tree.place },
      locate: (path) => ({ file, ...placeOf(tree, path) }),
    },
  ];
}

function scalarAt(tree: Tree, path: FieldPath): string | undefined {
  const at = treeAt(tree, path);
  return at?.kind === "scalar" && at.value !== null && at.value !== "" ? (at.text ?? String(at.value)) : undefined;
}

function textsAt(tree: Tree, path: FieldPath): Readonly<Record<string, string>> {
  const at = treeAt(tree, path);
  if (at?.kind !== "map") return {};
  return Object.fromEntries([...at.entries].flatMap(([key, value]) => (value.kind === "scalar" ? [[key, String(value.value ?? "")]] : [])));
}
