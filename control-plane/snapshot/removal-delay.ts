// How long a request may hold on to a route after the route is gone: a cluster must outlive that.
import type { HttpRoute, VirtualServiceSpec } from "../model/virtual-service.ts";
import { SHORTEST_REMOVAL_DELAY_MS } from "./snapshot.ts";

/** Envoy backs off at most 250 ms between tries unless told otherwise. Source: Envoy, RetryPolicy.RetryBackOff. */
const LONGEST_BACKOFF_MS = 250;

/** `SHORTEST_REMOVAL_DELAY_MS` plus the longest fault delay and retry window of any route, in milliseconds. */
export function removalDelayMs(virtualServices: readonly { readonly spec: VirtualServiceSpec }[]): number {
  const holds = virtualServices.flatMap(({ spec }) => spec.http.map(holdMs));
  return SHORTEST_REMOVAL_DELAY_MS + holds.reduce((longest, hold) => Math.max(longest, hold), 0);
}

/** The retry window ends with the route's timeout where there is one. */
function holdMs(route: HttpRoute): number {
  const delay = route.fault?.delay?.fixedDelay ?? 0;
  const attempts = route.retries?.attempts ?? 0;
  const window = attempts * ((route.retries?.perTryTimeout ?? 0) + Math.max(LONGEST_BACKOFF_MS, route.retries?.backoff ?? 0));
  return delay + Math.max(route.timeout ?? 0, window);
}
