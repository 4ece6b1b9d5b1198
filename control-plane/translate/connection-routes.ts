// Routes of connections: `tls` and `tcp` of VirtualServices for one place, and the service's own where they say nothing. Each becomes a filter chain.
import { type ResolvedDestination, resolveDestination } from "../mesh/destination.ts";
import { gatewayKey, MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Host } from "../mesh/mesh.ts";
import { destinationRuleFor, policyFor } from "../mesh/policy.ts";
import type { VirtualService } from "../model/resource.ts";
import type { Destination, VirtualServiceSpec } from "../model/virtual-service.ts";
import type { RoutePlace } from "./forward.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { type ResourceOrigin, resourceOrigin } from "./resource.ts";
import { coversAddress } from "./subnets.ts";
import { entryWidths } from "./weights.ts";

type TlsMatch = VirtualServiceSpec["tls"][number]["match"][number];
type TcpMatch = VirtualServiceSpec["tcp"][number]["match"][number];

/** What the beginning of a connection is compared with; empty lists hold for all. */
export interface ConnectionMatch {
  readonly serverNames: readonly string[];
  readonly destinationSubnets: readonly string[];
  readonly sourceSubnets: readonly string[];
}

/** One entry of a division over clusters. */
export interface ConnectionShare {
  readonly cluster: string;
  readonly weight: number;
}

export interface ConnectionRoute {
  readonly match: ConnectionMatch;
  readonly shares: readonly ConnectionShare[];
  readonly clusters: readonly ClusterKey[];
  readonly settings: ConnectionSettings;
  readonly origins: readonly ResourceOrigin[];
}

/** What a DestinationRule asks of the connections themselves. */
export interface ConnectionSettings {
  readonly idleTimeoutMs?: number | undefined;
  readonly maxDurationMs?: number | undefined;
  readonly bySourceAddress: boolean;
  readonly tunnel?: ResolvedDestination["tunnel"];
}

/** How the addresses that connections go to are known: those of the one service that a listener serves, or what Envoy sees. */
export type DestinationAddresses = { readonly kind: "of service"; readonly addresses: readonly string[] } | { readonly kind: "seen" };

const EVERYTHING: ConnectionMatch = { serverNames: [], destinationSubnets: [], sourceSubnets: [] };

/**
 * The routes of connections to a service's port: those by SNI, those by address, then the service itself. Of two with equal conditions the first counts,
 * and one without conditions ends the list. Source: Istio, buildSidecarOutboundTCPTLSFilterChainOpts.
 */
export function serviceConnections(place: RoutePlace, virtualServices: readonly VirtualService[], host: Host, port: number): readonly ConnectionRoute[] {
  const addresses = { kind: "of service", addresses: host.addresses } as const;
  const written = [...tlsConnections(place, virtualServices, addresses), ...tcpConnections(place, virtualServices, addresses)];
  const destination = { host: host.hostname, port: { number: port } };
  const own = connectionRoute(place, host.namespace, [{ destination, weight: 1 }], EVERYTHING, []);
  return firstOfEach([...written, { ...own, origins: [resourceOrigin(host.service)] }]);
}

/** `tls` routes that can hold for the place. */
export function tlsConnections(place: RoutePlace, virtualServices: readonly VirtualService[], addresses: DestinationAddresses): readonly ConnectionRoute[] {
  return virtualServices.flatMap((virtualService) =>
    virtualService.spec.tls.flatMap(({ match, route }) =>
      match
        .filter((condition) => holds(condition, place, virtualService))
        .flatMap((condition) => {
          const destinationSubnets = subnetsFor(condition, addresses);
          if (destinationSubnets === undefined) return [];
          const serverNames = condition.sniHosts.map((name) => name.toLowerCase()).filter((name) => name !== "*");
          const chain = { serverNames: condition.sniHosts.includes("*") ? [] : serverNames, destinationSubnets, sourceSubnets: [] };
          return [connectionRoute(place, virtualService.namespace, route, chain, [resourceOrigin(virtualService)])];
        }),
    ),
  );
}

/** `tcp` routes that can hold for the place, up to the first for all connections. */
export function tcpConnections(place: RoutePlace, virtualServices: readonly VirtualService[], addresses: DestinationAddresses): readonly ConnectionRoute[] {
  return virtualServices.flatMap((virtualService) =>
    virtualService.spec.tcp.flatMap(({ match, route }) => {
      const origins = [resourceOrigin(virtualService)];
      if (match.length === 0) return [connectionRoute(place, virtualService.namespace, route, EVERYTHING, origins)];
      return match
        .filter((condition) => holds(condition, place, virtualService))
        .flatMap((condition) => {
          const destinationSubnets = subnetsFor(condition, addresses);
          if (destinationSubnets === undefined) return [];
          const sourceSubnets = (condition.sourceSubnet ?? "") === "" ? [] : [condition.sourceSubnet ?? ""];
          return [connectionRoute(place, virtualService.namespace, route, { serverNames: [], destinationSubnets, sourceSubnets }, origins)];
        });
    }),
  );
}

/** Envoy takes the chain that fits best, and refuses two that fit alike. */
export function firstOfEach(routes: readonly ConnectionRoute[]): readonly ConnectionRoute[] {
  const taken = new Set<string>();
  return routes.flatMap((route) => {
    const { destinationSubnets, sourceSubnets } = route.match;
    const rest = JSON.stringify([[...destinationSubnets].sort(), [...sourceSubnets].sort()]);
    const names = route.match.serverNames.length === 0 ? [""] : route.match.serverNames;
    const free = names.filter((name) => !taken.has(`${name} ${rest}`));
    for (const name of free) taken.add(`${name} ${rest}`);
    if (free.length === 0) return [];
    return [{ ...route, match: { ...route.match, serverNames: free.filter((name) => name !== "") } }];
  });
}

function holds(match: TlsMatch | TcpMatch, { source }: RoutePlace, { namespace }: VirtualService): boolean {
  if (match.port !== undefined && match.port !== source.port) return false;
  if ((match.sourceNamespace ?? "") !== "" && match.sourceNamespace !== source.namespace) return false;
  const keys = match.gateways.map((name) => (name === MESH_GATEWAY ? name : gatewayKey(name, namespace)));
  if (keys.length > 0 && !keys.some((key) => source.gateways.includes(key))) return false;
  return Object.entries(match.sourceLabels).every(([label, value]) => source.labels[label] === value);
}

/** The subnets that are left for Envoy to compare; undefined where none of them can hold. */
function subnetsFor({ destinationSubnets }: TlsMatch | TcpMatch, destination: DestinationAddresses): readonly string[] | undefined {
  if (destination.kind === "seen" || destinationSubnets.length === 0) return destinationSubnets;
  const covered = destinationSubnets.some((subnet) => destination.addresses.some((address) => coversAddress(subnet, address)));
  return covered ? [] : undefined;
}

function connectionRoute(
  place: RoutePlace,
  namespace: string,
  written: readonly { readonly destination: Destination; readonly weight: number }[],
  match: ConnectionMatch,
  origins: readonly ResourceOrigin[],
): ConnectionRoute {
  const { mesh, proxy, source } = place;
  const weighted = written.filter(({ weight }) => weight > 0);
  const resolved = (written.length > 1 && weighted.length > 0 ? weighted : written).map(({ destination, weight }) => ({
    weight,
    to: resolveDestination(mesh, proxy, namespace, destination, source.port),
  }));
  const withEndpoints = resolved.filter(({ to }) => to.endpoints > 0);
  const alive = withEndpoints.length > 0 ? withEndpoints : resolved;
  const widths = entryWidths(alive.map(({ weight, to }) => ({ weight: Math.max(1, weight), shares: to.entries.map(({ share }) => share) })));
  const shares = alive.flatMap(({ to }, i) => to.entries.map(({ cluster }, j) => ({ cluster: outboundClusterName(cluster), weight: widths[i]?.[j] ?? 1 })));
  const services = alive.flatMap(({ to }) => mesh.hosts.get(to.hostname)?.service ?? []);
  return {
    match,
    shares: joinEqual(shares),
    clusters: alive.flatMap(({ to }) => to.entries.map(({ cluster }) => cluster)),
    settings: settingsOf(place, alive[0]?.to),
    origins: [...origins, ...services.map(resourceOrigin)],
  };
}

/** Envoy counts weights by cluster. */
function joinEqual(shares: readonly ConnectionShare[]): readonly ConnectionShare[] {
  const weights = new Map<string, number>();
  for (const { cluster, weight } of shares) weights.set(cluster, (weights.get(cluster) ?? 0) + weight);
  return [...weights].map(([cluster, weight]) => ({ cluster, weight }));
}

/** Connections have one set of settings, whichever destination they get: the first's, as in Istio. */
function settingsOf({ mesh, proxy }: RoutePlace, destination: ResolvedDestination | undefined): ConnectionSettings {
  if (destination === undefined) return { bySourceAddress: false };
  const { hostname, port, subset, consistentHash, tunnel } = destination;
  const tcp = policyFor(destinationRuleFor(mesh, proxy, hostname), port, subset).connectionPool?.tcp;
  return {
    idleTimeoutMs: tcp?.idleTimeout,
    maxDurationMs: tcp?.maxConnectionDuration,
    bySourceAddress: consistentHash?.useSourceIp === true,
    ...(tunnel === undefined ? {} : { tunnel }),
  };
}
