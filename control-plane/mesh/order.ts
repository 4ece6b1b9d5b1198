// Which of several resources comes first where only one can count, or all apply one after the other.
import { compareText } from "../model/diagnostic.ts";
import type { AnyResource } from "../model/resource.ts";

/** An order of resources. */
export type Precedence = (a: AnyResource, b: AnyResource) => number;

/**
 * Weft's order is (namespace, name): it depends on nothing but what resources are called. Istio's is by age; in a folder the order of files and of the documents in
 * them stands for it.
 */
export function precedenceUnder(defaults: "weft" | "istio"): Precedence {
  return defaults === "weft" ? byName : byPlace;
}

function byName(a: AnyResource, b: AnyResource): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

function byPlace(a: AnyResource, b: AnyResource): number {
  return compareText(a.origin.file, b.origin.file) || a.origin.line - b.origin.line || byName(a, b);
}

/** A sorted copy. */
export function inOrder<Ordered extends AnyResource>(resources: readonly Ordered[], precedence: Precedence): readonly Ordered[] {
  return [...resources].sort(precedence);
}
