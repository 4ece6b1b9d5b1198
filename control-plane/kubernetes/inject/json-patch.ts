// What has to be changed in one JSON value to make it another (RFC 6902), as an admission webhook says it. Pure.
import { isRecord } from "../../model/is-record.ts";

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** Objects are compared field by field; a list that differs is replaced as a whole, since the API server applies a patch to exactly what was compared. */
export function jsonPatch(before: unknown, after: unknown, path = ""): readonly PatchOperation[] {
  if (same(before, after)) return [];
  if (!isRecord(before) || !isRecord(after)) return [{ op: "replace", path, value: after }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name): readonly PatchOperation[] => {
    const place = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (after[name] === undefined) return before[name] === undefined ? [] : [{ op: "remove", path: place }];
    if (before[name] === undefined) return [{ op: "add", path: place, value: after[name] }];
    return jsonPatch(before[name], after[name], place);
  });
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
