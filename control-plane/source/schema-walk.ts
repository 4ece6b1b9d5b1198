// Questions about a zod schema: what stands at a path, what fields are known there, and in a user's words what is expected.
import type { z } from "zod";
import type { FieldPath } from "../model/resource.ts";

/** As much of zod's definitions as is read here. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
}

function definitionOf(schema: z.core.$ZodType): Definition {
  return schema._zod.def as unknown as Definition;
}

/** The schema without what wraps it: optional, default, and what is done to the value afterwards. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const { innerType, in: input } = definitionOf(schema);
  const inner = innerType ?? input;
  return inner === undefined ? schema : unwrapped(inner);
}

/** The schema at `path`, or undefined where the path leaves what is known. */
export function schemaAt(root: z.core.$ZodType, path: FieldPath): z.core.$ZodType | undefined {
  let current: z.core.$ZodType | undefined = root;
  for (const step of path) {
    if (current === undefined) return undefined;
    const definition = definitionOf(unwrapped(current));
    current = definition.shape?.[String(step)] ?? definition.element ?? definition.valueType;
  }
  return current;
}

/** The fields of the map at `path`; none where its keys are free. */
export function fieldsAt(root: z.core.$ZodType, path: FieldPath): readonly string[] {
  const schema = schemaAt(root, path);
  return schema === undefined ? [] : Object.keys(definitionOf(unwrapped(schema)).shape ?? {});
}

/** Whether the field at `path` may be absent. False for items of lists and values of free maps, whose absence would change what is meant. */
export function mayBeAbsent(root: z.core.$ZodType, path: FieldPath): boolean {
  const parent = schemaAt(root, path.slice(0, -1));
  const schema = schemaAt(root, path);
  if (parent === undefined || schema === undefined || definitionOf(unwrapped(parent)).type !== "object") return false;
  return schema._zod.optin !== undefined;
}

/** Whether a list stands at `path`. */
export function isList(root: z.core.$ZodType, path: FieldPath): boolean {
  const schema = schemaAt(root, path);
  return schema !== undefined && definitionOf(unwrapped(schema)).type === "array";
}

/** A field of a schema: its path, `*` standing for the items of a list and the values of a free map. */
export type FieldPattern = readonly string[];

/** Every field below a schema, parents before what is in them. `isWhole`: what is taken as one, whatever it has inside. */
export function fieldPatterns(root: z.core.$ZodType, isWhole: (schema: z.core.$ZodType) => boolean, path: FieldPattern = []): readonly FieldPattern[] {
  if (isWhole(root)) return [];
  const { innerType, in: input, shape, element, valueType } = definitionOf(root);
  const inner = innerType ?? input;
  if (inner !== undefined) return fieldPatterns(inner, isWhole, path);
  const items = element ?? valueType;
  if (items !== undefined) return fieldPatterns(items, isWhole, [...path, "*"]);
  return Object.entries(shape ?? {}).flatMap(([name, child]) => [[...path, name], ...fieldPatterns(child, isWhole, [...path, name])]);
}
