// Parts of what a proxy is to hold in, each as some route or cluster needs it; out comes the whole, each resource once.
import type { TranslatedResource } from "./resource.ts";

export interface Collected {
  readonly parts: readonly (readonly TranslatedResource[])[];
  /** By type, then as they came. */
  readonly resources: readonly TranslatedResource[];
}

/** Takes each resource once, by type and name. Of a former collection that differs in few parts the rest is taken over; the very list, where nothing differs. */
export function collectAfter(former: Collected | undefined, parts: Collected["parts"]): Collected {
  return (former && patched(former, parts)) ?? { parts, resources: collect(parts) };
}

function collect(parts: Collected["parts"]): readonly TranslatedResource[] {
  const byType = new Map<string, Map<string, TranslatedResource>>();
  for (const part of parts) {
    for (const resource of part) {
      const names = byType.get(resource.type) ?? new Map<string, TranslatedResource>();
      byType.set(resource.type, names);
      names.set(resource.name, resource);
    }
  }
  return [...byType.values()].flatMap((names) => [...names.values()]);
}

/** To find a resource the whole list is looked through. */
const MOST_PATCHES = 100;

/** The former list with other resources in the places of those of the same names; undefined where names come or go. */
function patched(former: Collected, parts: Collected["parts"]): Collected | undefined {
  if (parts.length !== former.parts.length) return undefined;
  const replaced = new Map<TranslatedResource, TranslatedResource>();
  for (const [index, part] of parts.entries()) {
    const before = former.parts[index];
    if (part === before) continue;
    if (before === undefined || part.length !== before.length) return undefined;
    for (const [place, resource] of part.entries()) {
      const old = before[place];
      if (old === undefined || old.type !== resource.type || old.name !== resource.name) return undefined;
      if (old !== resource) replaced.set(old, resource);
    }
  }
  if (replaced.size === 0) return { parts, resources: former.resources };
  if (replaced.size > MOST_PATCHES) return undefined;
  const resources = [...former.resources];
  for (const [old, resource] of replaced) {
    const place = resources.indexOf(old);
    if (place < 0) return undefined;
    resources[place] = resource;
  }
  return { parts, resources };
}
