// Which instances a selector means, without asking each instance for each selector.
import type { Instance } from "./instance.ts";

type Labels = Readonly<Record<string, string>>;

/** Whether labels satisfy a selector; an empty selector selects nothing, as in a Service. */
export function selects(selector: Labels, labels: Labels): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

/** Whether labels include all of `wanted`, which may be none. */
export function carries(labels: Labels, wanted: Labels): boolean {
  for (const key in wanted) if (labels[key] !== wanted[key]) return false;
  return true;
}

/** The instances of a namespace that a selector selects, in their order. */
export type Selection = (namespace: string, selector: Labels) => readonly Instance[];

/** Finds what a selector selects by its rarest label, so that many selectors with many instances do not multiply. */
export function indexInstances(instances: readonly Instance[]): Selection {
  const byLabel = new Map<string, Instance[]>();
  for (const instance of instances) {
    for (const [key, value] of Object.entries(instance.labels)) {
      const label = `${instance.namespace}\n${key}\n${value}`;
      const group = byLabel.get(label);
      if (group === undefined) byLabel.set(label, [instance]);
      else group.push(instance);
    }
  }
  return (namespace, selector) => {
    const groups = Object.entries(selector).map(([key, value]) => byLabel.get(`${namespace}\n${key}\n${value}`) ?? []);
    const rarest = groups.reduce<readonly Instance[] | undefined>(
      (best, group) => (best === undefined || group.length < best.length ? group : best),
      undefined,
    );
    return (rarest ?? []).filter(({ labels }) => selects(selector, labels));
  };
}
