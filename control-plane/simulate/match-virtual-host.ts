// Which virtual host of a route configuration a request belongs to, and which virtual cluster of it counts the request.

import type { VirtualHost } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import { headerFailure } from "./condition.ts";
import { asciiLower, portStart, type SimulatedRequest } from "./request.ts";

/** The virtual host of a request, and the domain that made it so. */
export interface MatchedVirtualHost {
  readonly virtualHost: VirtualHost;
  readonly domain: string;
}

/**
 * The virtual host by Envoy's order: the exact domain, the longest `*.suffix`, the longest `prefix.*`, then `*`. Names are compared without regard to case, and
 * with their port unless the configuration ignores it. A wildcard stands for at least one character. Source: config_impl.cc, RouteMatcher::findVirtualHost.
 */
export function matchVirtualHost(configuration: RouteConfiguration, authority: string): MatchedVirtualHost | undefined {
  const colon = configuration.ignorePortInHostMatching ? portStart(authority) : -1;
  const host = asciiLower(colon < 0 ? authority : authority.slice(0, colon));
  let best: (MatchedVirtualHost & { readonly rank: readonly [number, number] }) | undefined;
  for (const virtualHost of configuration.virtualHosts) {
    for (const domain of virtualHost.domains) {
      const rank = rankOf(asciiLower(domain), host);
      if (rank === undefined || (best !== undefined && !isBefore(rank, best.rank))) continue;
      best = { virtualHost, domain, rank };
    }
  }
  return best && { virtualHost: best.virtualHost, domain: best.domain };
}

/** Name of the virtual cluster that counts a request: the first whose headers match, `other` where none does, undefined where the host has none. */
export function matchVirtualCluster(virtualHost: VirtualHost, request: SimulatedRequest): string | undefined {
  if (virtualHost.virtualClusters.length === 0) return undefined;
  const found = virtualHost.virtualClusters.find(({ headers }) => headers.every((matcher) => headerFailure(matcher, request) === undefined));
  return found?.name ?? "other";
}

/** Lower sorts first; undefined where the domain does not match. */
function rankOf(domain: string, host: string): readonly [number, number] | undefined {
  if (domain === "*") return [3, 0];
  if (domain.startsWith("*")) return host.length >= domain.length && host.endsWith(domain.slice(1)) ? [1, -domain.length] : undefined;
  if (domain.endsWith("*")) return host.length >= domain.length && host.startsWith(domain.slice(0, -1)) ? [2, -domain.length] : undefined;
  return domain === host ? [0, 0] : undefined;
}

function isBefore(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}
