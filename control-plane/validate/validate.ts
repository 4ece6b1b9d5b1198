// The rules of a single resource, in the order in which they report. What needs several resources is mesh/'s.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { AnyResource } from "../model/resource.ts";

/** One rule: what it finds wrong with a resource, if the resource is of its kind. */
export type Rule = (resource: AnyResource) => readonly Diagnostic[];

const RULES: readonly Rule[] = Object.freeze([]);

/** What is wrong with these resources, each taken alone. */
export function validate(resources: readonly AnyResource[]): readonly Diagnostic[] {
  return resources.flatMap((resource) => RULES.flatMap((rule) => rule(resource)));
}
