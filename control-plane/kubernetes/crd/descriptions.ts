// What `kubectl explain` says of a kind and of its fields.
import { FIELD_DESCRIPTIONS } from "./field-descriptions.ts";
import { KIND_DESCRIPTIONS } from "./kind-descriptions.ts";

/** `path` below `spec`, `*` for items and values; undefined where there is nothing to say (a value of a map). */
export function descriptionOf(kind: string, path: readonly string[]): string | undefined {
  const name = path.at(-1);
  if (name === undefined) return KIND_DESCRIPTIONS[kind];
  if (name === "*") return undefined;
  const parent = path.slice(0, -1).findLast((step) => step !== "*");
  return (
    (parent === undefined ? undefined : FIELD_DESCRIPTIONS.get(`${parent}.${name}`)) ??
    FIELD_DESCRIPTIONS.get(`${kind}:${name}`) ??
    FIELD_DESCRIPTIONS.get(name)
  );
}
