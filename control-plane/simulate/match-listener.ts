// Which filter chain of a listener takes a connection, and what its last filter does with it: HTTP by routes, or bytes to a cluster.
import { BlockList, isIPv6 } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { CidrRange } from "../gen/envoy/config/core/v3/address_pb.js";
import type { FilterChain, FilterChainMatch } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import type { Listener } from "../gen/envoy/config/listener/v3/listener_pb.js";
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { type TcpProxy, TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";

/** A connection as a listener sees it before any byte is forwarded. */
export interface SimulatedConnection {
  /** Where it was sent to; with interception not where the listener is bound. */
  readonly address?: string;
  readonly port?: number;
  /** Of a TLS client hello. */
  readonly serverName?: string;
  readonly transport: "raw_buffer" | "tls";
  /** What the TLS client offers by ALPN, or what an inspector found the bytes to be (`http/1.1`, `h2c`). */
  readonly applicationProtocols: readonly string[];
  readonly sourceAddress?: string;
  readonly sourcePort?: number;
}

/** What becomes of a connection. */
export type ConnectionEnd =
  /** No filter chain takes it: Envoy closes it. */
  | { readonly kind: "no filter chain" }
  | { readonly kind: "http"; readonly chain: FilterChain; readonly manager: HttpConnectionManager }
  | { readonly kind: "tcp"; readonly chain: FilterChain; readonly proxy: TcpProxy; readonly clusters: readonly TcpChoice[] }
  /** The chain ends in a filter that only the proxy has. */
  | { readonly kind: "unsupported"; readonly chain: FilterChain; readonly what: string };

/** A cluster that a connection may go to, and its share from 0 to 1. */
export interface TcpChoice {
  readonly cluster: string;
  readonly share: number;
}

/** Finds the filter chain, and reads its last filter. */
export function matchListener(listener: Listener, connection: SimulatedConnection): ConnectionEnd {
  const chain = findFilterChain(listener, connection);
  if (chain === undefined) return { kind: "no filter chain" };
  const filter = chain.filters.at(-1);
  const config = filter?.configType.case === "typedConfig" ? filter.configType.value : undefined;
  if (config?.typeUrl.endsWith(`/${HttpConnectionManagerSchema.typeName}`)) return { kind: "http", chain, manager: managerIn(config) };
  if (config?.typeUrl.endsWith(`/${TcpProxySchema.typeName}`)) {
    const proxy = fromBinary(TcpProxySchema, config.value);
    return { kind: "tcp", chain, proxy, clusters: tcpChoices(proxy) };
  }
  return { kind: "unsupported", chain, what: filter?.name ?? "no filter" };
}

/** A listener's managers are read once: thousands of requests may be asked about. */
const MANAGERS = new WeakMap<Any, HttpConnectionManager>();

function managerIn(config: Any): HttpConnectionManager {
  const manager = MANAGERS.get(config) ?? fromBinary(HttpConnectionManagerSchema, config.value);
  MANAGERS.set(config, manager);
  return manager;
}

/**
 * The filter chain by Envoy's order: destination port, address, server name, transport, application protocol, source address, source port. At each step the most
 * specific value that matches is taken, and never given up later. Source: filter_chain_manager_impl.cc, FilterChainManagerImpl::findFilterChain.
 */
export function findFilterChain(listener: Listener, connection: SimulatedConnection): FilterChain | undefined {
  let chains: readonly FilterChain[] = listener.filterChains;
  for (const step of STEPS) {
    const ranked = chains.map((chain) => ({ chain, rank: chain.filterChainMatch === undefined ? 0 : step(chain.filterChainMatch, connection) }));
    const best = Math.max(-1, ...ranked.map(({ rank }) => rank));
    chains = best < 0 ? [] : ranked.filter(({ rank }) => rank === best).map(({ chain }) => chain);
  }
  return chains[0] ?? listener.defaultFilterChain;
}

/** How specific a condition is that holds; 0 where there is none, -1 where it fails. */
type Step = (match: FilterChainMatch, connection: SimulatedConnection) => number;

const STEPS: readonly Step[] = [
  ({ destinationPort }, { port }) => (destinationPort === undefined ? 0 : destinationPort === port ? 1 : -1),
  ({ prefixRanges }, { address }) => prefixRank(prefixRanges, address),
  ({ serverNames }, { serverName }) => serverNameRank(serverNames, serverName ?? ""),
  ({ transportProtocol }, { transport }) => (transportProtocol === "" ? 0 : transportProtocol === transport ? 1 : -1),
  ({ applicationProtocols: wanted }, { applicationProtocols: offered }) => protocolRank(wanted, offered),
  ({ sourcePrefixRanges }, { sourceAddress }) => prefixRank(sourcePrefixRanges, sourceAddress),
  ({ sourcePorts }, { sourcePort }) => (sourcePorts.length === 0 ? 0 : sourcePort !== undefined && sourcePorts.includes(sourcePort) ? 1 : -1),
];

/** One more than the length of the longest range that holds the address. */
function prefixRank(ranges: readonly CidrRange[], address: string | undefined): number {
  if (ranges.length === 0) return 0;
  const lengths = ranges.filter((range) => address !== undefined && holds(range, address)).map(({ prefixLen }) => 1 + (prefixLen ?? 0));
  return Math.max(-1, ...lengths);
}

/** Whether an address lies in a range. */
export function holds({ addressPrefix, prefixLen }: CidrRange, address: string): boolean {
  const family = (text: string): "ipv6" | "ipv4" => (isIPv6(text) ? "ipv6" : "ipv4");
  if (family(addressPrefix) !== family(address)) return false;
  const range = new BlockList();
  range.addSubnet(addressPrefix, prefixLen ?? 0, family(addressPrefix));
  return range.check(address, family(address));
}

/** The exact name before `*.suffix`, of which the longest counts. */
function serverNameRank(names: readonly string[], asked: string): number {
  if (names.length === 0) return 0;
  const lower = asked.toLowerCase();
  const ranks = names.map((name) => {
    if (name === lower) return Number.MAX_SAFE_INTEGER;
    if (name === "*") return 0;
    return name.startsWith("*.") && lower.endsWith(name.slice(1)) ? name.length : -1;
  });
  return Math.max(...ranks);
}

/** What the client offers first counts most. */
function protocolRank(wanted: readonly string[], offered: readonly string[]): number {
  if (wanted.length === 0) return 0;
  const at = offered.findIndex((protocol) => wanted.includes(protocol));
  return at < 0 ? -1 : offered.length - at;
}

function tcpChoices({ clusterSpecifier }: TcpProxy): readonly TcpChoice[] {
  switch (clusterSpecifier.case) {
    case "cluster":
      return [{ cluster: clusterSpecifier.value, share: 1 }];
    case "weightedClusters": {
      const { clusters } = clusterSpecifier.value;
      const sum = clusters.reduce((total, { weight }) => total + weight, 0);
      return clusters.map(({ name, weight }) => ({ cluster: name, share: weight / Math.max(1, sum) }));
    }
    case undefined:
      return [];
  }
}
