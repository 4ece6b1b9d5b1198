// Which resources two sets of YAML differ in, by kind, name and field.
import { compareText, type Origin } from "../model/diagnostic.ts";
import { type AnyResource, type Resources, resourceLabel } from "../model/resource.ts";
import { type FieldChange, fieldChanges } from "./field-changes.ts";

/** One resource that differs. */
export interface ResourceChange {
  readonly change: "added" | "removed" | "changed";
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Where it stands afterwards; where it stood, if it is gone. */
  readonly origin: Origin;
  readonly fields: readonly FieldChange[];
}

/** By kind, then namespace and name. Moving a document to another file or line is no change. */
export function resourceChanges(before: Resources, after: Resources): readonly ResourceChange[] {
  const [was, is] = [byLabel(before), byLabel(after)];
  const labels = [...new Set([...was.keys(), ...is.keys()])].sort(compareText);
  return labels.flatMap((label): readonly ResourceChange[] => {
    const [old, now] = [was.get(label), is.get(label)];
    const resource = now ?? old;
    if (resource === undefined) return [];
    const { kind, namespace, name, origin } = resource;
    const fields = old === undefined || now === undefined ? [] : fieldChanges(comparable(old), comparable(now));
    if (old !== undefined && now !== undefined && fields.length === 0) return [];
    return [{ change: old === undefined ? "added" : now === undefined ? "removed" : "changed", kind, namespace, name, origin, fields }];
  });
}

function byLabel(resources: Resources): ReadonlyMap<string, AnyResource> {
  const all: readonly AnyResource[] = Object.values(resources).flat();
  return new Map(all.map((resource) => [resourceLabel(resource), resource]));
}

function comparable({ labels, annotations, spec }: AnyResource): object {
  return { metadata: { labels, annotations }, spec };
}
