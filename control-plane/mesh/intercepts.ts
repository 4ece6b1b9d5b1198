// Intercepts: a program that somebody runs by hand is given only the requests with a header. Its endpoints stand apart from a host's own, as a subset of
// their own that no DestinationRule writes, and a route that asks for the header leads there.
import { compareText } from "../model/diagnostic.ts";
import type { Intercept } from "./instance.ts";
import type { Endpoint, Host } from "./mesh.ts";

/** No subset of a DestinationRule has it: names of subsets hold no slash. */
const PREFIX = "weft.mesh/intercept:";

/** The subset that an intercept makes of its endpoints. It stands in names of clusters, whose parts `|` divides. */
export function interceptSubset({ header, value }: Intercept): string {
  return `${PREFIX}${header}=${encodeURIComponent(value)}`;
}

export function isInterceptSubset(subset: string): boolean {
  return subset.startsWith(PREFIX);
}

/** The intercepts of a host's port that are open now, by header and value. */
export function interceptsOf(host: Host | undefined, port: number): readonly Intercept[] {
  const bySubset = new Map<string, Intercept>();
  for (const { instance } of host?.intercepted?.get(port) ?? []) {
    if (instance.intercept !== undefined) bySubset.set(interceptSubset(instance.intercept), instance.intercept);
  }
  return [...bySubset].sort(([a], [b]) => compareText(a, b)).map(([, intercept]) => intercept);
}

/** The endpoints of an intercept's subset. */
export function interceptEndpoints(host: Host | undefined, port: number, subset: string): readonly Endpoint[] {
  return (host?.intercepted?.get(port) ?? []).filter(({ instance: { intercept } }) => intercept !== undefined && interceptSubset(intercept) === subset);
}
