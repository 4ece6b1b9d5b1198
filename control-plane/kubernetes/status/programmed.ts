// How many proxies need each resource, and how many of them have taken it as it is: a publication and the proxies' states in, counts out. Proxies that hold the
// same are counted together, so that it costs little in a large mesh. Pure, but for what is remembered by identity.
import { createHash } from "node:crypto";
import { type RevisionLog, TRACED } from "../../admin/resource-status.ts";
import type { Publication } from "../../control-plane.ts";
import { type AnyResource, resourceLabel } from "../../model/resource.ts";
import type { View } from "../../snapshot/view.ts";
import type { ProxyState } from "../../xds/proxy-state.ts";

/** Of one resource. */
export interface Programmed {
  readonly resource: AnyResource;
  /** Proxies of the mesh that need it. */
  readonly needed: number;
  /** Those of them that this control plane serves, and that have taken it. */
  readonly taken: number;
}

/** By label (`VirtualService default/reviews`), of all resources that serve. */
export function countProgrammed(
  { snapshot, resources }: Pick<Publication, "snapshot" | "resources">,
  { changedIn }: Pick<RevisionLog, "changedIn">,
  states: readonly ProxyState[],
): ReadonlyMap<string, Programmed> {
  const ackedBy = new Map(states.flatMap(({ proxyId, connected, ackedRevision }) => (connected ? [[proxyId, ackedRevision] as const] : [])));
  const everybody: Holders = { size: 0, acked: [] };
  const byView = new Map<View, Holders>();
  const byLabel = new Map<string, Holders[]>();
  const add = (label: string, holders: Holders): void => {
    const known = byLabel.get(label);
    if (known === undefined) byLabel.set(label, [holders]);
    else known.push(holders);
  };
  for (const [proxyId, { shared, own }] of snapshot.asked) {
    const acked = ackedBy.get(proxyId);
    const holders = byView.get(shared) ?? { size: 0, acked: [] };
    byView.set(shared, holders);
    for (const group of [holders, everybody]) {
      group.size += 1;
      if (acked !== undefined) group.acked.push(acked);
    }
    const common = labelsOf(shared);
    for (const label of labelsOf(own)) if (!common.has(label)) add(label, { size: 1, acked: acked === undefined ? [] : [acked] });
  }
  for (const holders of [...byView.values(), everybody]) holders.acked.sort((a, b) => a - b);
  for (const [view, holders] of byView) for (const label of labelsOf(view)) add(label, holders);
  return new Map(
    Object.values(resources)
      .flat()
      .map((resource: AnyResource) => {
        const label = resourceLabel(resource);
        const revision = changedIn(resource);
        const groups = TRACED.has(resource.kind) ? (byLabel.get(label) ?? []) : [everybody];
        const needed = groups.reduce((sum, { size }) => sum + size, 0);
        const taken = groups.reduce((sum, { acked }) => sum + acked.length - firstAtLeast(acked, revision), 0);
        return [label, { resource, needed, taken }];
      }),
  );
}

/** Names a version of a resource to other control planes, and says nothing of it to anybody else. */
export function programmedKey({ kind, namespace, name, digest }: Pick<AnyResource, "kind" | "namespace" | "name" | "digest">): string {
  return createHash("sha256").update(`${kind}/${namespace}/${name}\n${digest}`).digest("hex").slice(0, 20);
}

/** Proxies that hold the same. */
interface Holders {
  size: number;
  /** Revisions that those with a stream have acknowledged. */
  readonly acked: number[];
}

const LABELS = new WeakMap<View, ReadonlySet<string>>();

/** What the resources of a view come from. */
function labelsOf(view: View): ReadonlySet<string> {
  const known = LABELS.get(view);
  if (known !== undefined) return known;
  const labels = new Set<string>();
  for (const names of view.values()) for (const { origins } of names.values()) for (const { resource } of origins) labels.add(resource);
  LABELS.set(view, labels);
  return labels;
}

/** Index of the first number that is at least `limit`, in ascending numbers. */
function firstAtLeast(numbers: readonly number[], limit: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
