// Filter chains: what a listener does with a connection, and by what it tells connections apart.
import { create, toBinary } from "@bufbuild/protobuf";
import type { CidrRangeSchema } from "../gen/envoy/config/core/v3/address_pb.js";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.js";
import type { FilterChainMatchSchema, FilterChainSchema, ListenerFilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { TlsInspectorSchema } from "../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import type { ListenAddress, Proxy } from "../mesh/instance.ts";
import { accessLog } from "./access-log.ts";
import { packAny } from "./any.ts";
import type { ConnectionMatch, ConnectionRoute, ConnectionSettings } from "./connection-routes.ts";
import { duration } from "./duration.ts";
import type { NetworkFilterInit } from "./http-connection-manager.ts";
import type { Init } from "./init.ts";
import type { ResourceOrigin, TranslatedResource } from "./resource.ts";

export type FilterChainInit = Init<typeof FilterChainSchema>;
type TcpProxyInit = Init<typeof TcpProxySchema>;

/** Reads the SNI and the ALPN of a TLS connection without opening it. */
export const TLS_INSPECTOR: Init<typeof ListenerFilterSchema> = {
  name: "envoy.filters.listener.tls_inspector",
  configType: { case: "typedConfig", value: packAny(TlsInspectorSchema, {}) },
};

/** A client that says nothing waits for the server to speak first, which none does that begins with TLS: no longer than this is listened for it. */
const SILENCE_MS = 1_000;

/** Of a port whose clients may wait for the server's first word: silence is plain text. */
export const SILENT_CLIENTS: Init<typeof ListenerSchema> = { listenerFiltersTimeout: duration(SILENCE_MS) };

/** What a Gateway's server says about its chain. */
export interface ServerChain {
  readonly filterChainMatch?: Init<typeof FilterChainMatchSchema>;
  readonly transportSocket?: NonNullable<FilterChainInit["transportSocket"]>;
}

/** A listener's resource. A chain that asks for server names or TLS gets the inspector that reads them; `more`: how long it listens. */
export function listenerResource(
  name: string,
  { address, port, captured }: ListenAddress,
  direction: "INBOUND" | "OUTBOUND",
  filterChains: FilterChainInit[],
  origins: readonly ResourceOrigin[],
  needs: readonly string[],
  more: Init<typeof ListenerSchema> = {},
): TranslatedResource {
  const inspects = filterChains.some(
    ({ filterChainMatch }) => (filterChainMatch?.serverNames ?? []).length > 0 || filterChainMatch?.transportProtocol === "tls",
  );
  const message = create(ListenerSchema, {
    name,
    address: { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } },
    trafficDirection: TrafficDirection[direction],
    filterChains,
    ...(captured ? { bindToPort: false } : {}),
    ...(inspects ? { listenerFilters: [TLS_INSPECTOR], continueOnListenerFiltersTimeout: direction === "INBOUND", ...more } : {}),
  });
  return { type: "listener", name, body: toBinary(ListenerSchema, message), origins, needs };
}

/** The chain of one route of connections; `before`: filters that come before they are passed on. */
export function connectionChain(
  name: string,
  route: ConnectionRoute,
  proxy: Proxy,
  more: ServerChain = {},
  before: readonly NetworkFilterInit[] = [],
): FilterChainInit {
  const { match, shares, settings } = route;
  const filterChainMatch: Init<typeof FilterChainMatchSchema> = { ...more.filterChainMatch, ...chainMatch(match) };
  const matched = Object.keys(filterChainMatch).length === 0 ? {} : { filterChainMatch };
  return { ...more, ...matched, filters: [...before, tcpProxy(name, clusterSpecifier(shares), "outbound", proxy, settings)] };
}

/** Resources that a chain needs, as `type/name`. */
export function connectionNeeds(routes: readonly ConnectionRoute[]): readonly string[] {
  return [...new Set(routes.flatMap(({ shares }) => shares.map(({ cluster }) => `cluster/${cluster}`)))];
}

function chainMatch({ serverNames, destinationSubnets, sourceSubnets }: ConnectionMatch): Init<typeof FilterChainMatchSchema> {
  return {
    ...(serverNames.length === 0 ? {} : { serverNames: [...serverNames] }),
    ...(destinationSubnets.length === 0 ? {} : { prefixRanges: destinationSubnets.map(cidrRange) }),
    ...(sourceSubnets.length === 0 ? {} : { sourcePrefixRanges: sourceSubnets.map(cidrRange) }),
  };
}

function cidrRange(subnet: string): Init<typeof CidrRangeSchema> {
  const [addressPrefix = "", length] = subnet.split("/");
  return { addressPrefix, prefixLen: length === undefined ? (addressPrefix.includes(":") ? 128 : 32) : Number(length) };
}

function clusterSpecifier(shares: ConnectionRoute["shares"]): NonNullable<TcpProxyInit["clusterSpecifier"]> {
  const [first, ...others] = shares;
  if (others.length === 0) return { case: "cluster", value: first?.cluster ?? "" };
  return { case: "weightedClusters", value: { clusters: shares.map(({ cluster, weight }) => ({ name: cluster, weight })) } };
}

/** Passes the bytes of a connection on. */
export function tcpProxy(
  statPrefix: string,
  to: NonNullable<TcpProxyInit["clusterSpecifier"]>,
  direction: "inbound" | "outbound",
  proxy: Proxy,
  settings: ConnectionSettings = { bySourceAddress: false },
  dryRun = false,
): NetworkFilterInit {
  const { idleTimeoutMs, maxDurationMs, bySourceAddress, tunnel } = settings;
  const typedConfig = packAny(TcpProxySchema, {
    statPrefix,
    clusterSpecifier: to,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeout: duration(idleTimeoutMs) }),
    ...(maxDurationMs === undefined ? {} : { maxDownstreamConnectionDuration: duration(maxDurationMs) }),
    ...(bySourceAddress ? { hashPolicy: [{ policySpecifier: { case: "sourceIp", value: {} } }] } : {}),
    ...(tunnel === undefined ? {} : { tunnelingConfig: { hostname: `${tunnel.targetHost}:${tunnel.targetPort}`, usePost: tunnel.protocol === "POST" } }),
    accessLog: accessLog("connection", direction, proxy, dryRun),
    ...(proxy.metrics ? { accessLogOptions: { flushAccessLogOnConnected: true } } : {}),
  });
  return { name: "envoy.filters.network.tcp_proxy", configType: { case: "typedConfig", value: typedConfig } };
}
