// Fields as they are named to a user: `spec.http[0].route[1].weight`, or `weight` where the line says the rest.
import type { FieldPath } from "../model/resource.ts";

/** `spec.http[0].route`; `the document` for the whole. */
export function pathText(path: FieldPath): string {
  if (path.length === 0) return "the document";
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : `${index === 0 ? "" : "."}${step}`)).join("");
}

/** The field by its own name, with the list it is an item of: `weight`, `hosts[1]`. */
export function fieldText(path: FieldPath): string {
  const start = path.findLastIndex((step) => typeof step === "string");
  return pathText(path.slice(Math.max(0, start)));
}
