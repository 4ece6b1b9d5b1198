// The listeners of a proxy to which the system redirects every connection of its network namespace, as in a cluster. They hand a connection on to the
// listener of the address that it was meant for (a service's own, or the workload's own port), which is bound nowhere; here is decided what becomes of the rest.
import { create, toBinary } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.js";
import type { ListenerFilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { HttpInspectorSchema } from "../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
import { OriginalDstSchema } from "../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
import { inboundPorts } from "../mesh/ingress.ts";
import type { InboundPort, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { otherPortsMutualTls, trustDomainsOf } from "../mesh/mutual-tls.ts";
import { packAny } from "./any.ts";
import { inboundSource } from "./clusters.ts";
import { duration } from "./duration.ts";
import { type FilterChainInit, TLS_INSPECTOR, tcpProxy } from "./filter-chains.ts";
import { type NetworkFilterInit, outboundManager } from "./http-connection-manager.ts";
import { inboundChains } from "./inbound-chains.ts";
import type { Init } from "./init.ts";
import { httpPorts } from "./name-lookup.ts";
import { BLACK_HOLE_CLUSTER, FILTER, HTTP_PROXY_ROUTE, INBOUND_ORIGINAL_CLUSTER, ORIGINAL_CLUSTER, onDemandRouteName } from "./names.ts";
import { portSecurity } from "./port-security.ts";
import type { TranslatedResource } from "./resource.ts";

type ListenerInit = Init<typeof ListenerSchema>;
type ListenerFilterInit = Init<typeof ListenerFilterSchema>;

const EVERYWHERE = "0.0.0.0";

const ORIGINAL_DST: ListenerFilterInit = {
  name: "envoy.filters.listener.original_dst",
  configType: { case: "typedConfig", value: packAny(OriginalDstSchema, {}) },
};
const HTTP_INSPECTOR: ListenerFilterInit = {
  name: "envoy.filters.listener.http_inspector",
  configType: { case: "typedConfig", value: packAny(HttpInspectorSchema, {}) },
};
/** A client that says nothing waits for the server to speak first: no HTTP. */
const SILENCE_MS = 1_000;

/** Everything that a proxy needs besides its listeners of services and ports; nothing where nothing is redirected to it. */
export function captureListeners(mesh: Mesh, proxy: Proxy, hosts: "known" | "on demand"): readonly TranslatedResource[] {
  const { capture } = proxy;
  if (capture === undefined) return [];
  const open = mesh.settings.outboundTrafficPolicy.mode === "ALLOW_ANY";
  const unknown = open ? ORIGINAL_CLUSTER : BLACK_HOLE_CLUSTER;
  return [
    open ? originalCluster(ORIGINAL_CLUSTER) : blackHoleCluster(),
    captured(
      "virtual-outbound",
      capture.outboundPort,
      "OUTBOUND",
      unknown,
      tcpProxy("virtual-outbound", { case: "cluster", value: unknown }, "outbound", proxy),
    ),
    ...(proxy.httpProxy === undefined && hosts === "known" ? [] : httpPorts(mesh).map((port) => httpPort(port, proxy, unknown, hosts))),
    originalCluster(INBOUND_ORIGINAL_CLUSTER, inboundSource(proxy)),
    virtualInbound(mesh, proxy, capture.inboundPort),
  ];
}

/** What comes in; ports that the workload does not take connections at ask for what its policies say, and lead to the program as they are. */
function virtualInbound(mesh: Mesh, proxy: Proxy, port: number): TranslatedResource {
  const name = "virtual-inbound";
  const trustDomains = trustDomainsOf(mesh.settings);
  const taken = inboundPorts(mesh, proxy);
  // No number stands for another where connections are captured.
  const { network, dryRun, needs } = portSecurity(mesh, proxy, { known: 0, bound: 0 });
  const filters = [...network, tcpProxy(name, { case: "cluster", value: INBOUND_ORIGINAL_CLUSTER }, "inbound", proxy, undefined, dryRun)];
  const { mode, byPort } = otherPortsMutualTls(mesh, proxy, taken);
  const ofPorts = [...byPort].flatMap(([destinationPort, other]) =>
    inboundChains({ mode: other, trustDomains }, "tcp", { filterChainMatch: { destinationPort }, filters }),
  );
  const filterChains = [...ofPorts, ...inboundChains({ mode, trustDomains }, "tcp", { filters })];
  const inspects = filterChains.some(({ transportSocket }) => transportSocket !== undefined);
  return listener(name, port, "INBOUND", [`cluster/${INBOUND_ORIGINAL_CLUSTER}`, ...needs], {
    useOriginalDst: true,
    listenerFilters: inspects ? [ORIGINAL_DST, { ...TLS_INSPECTOR, ...exceptOn(taken) }] : [ORIGINAL_DST],
    ...(inspects ? { listenerFiltersTimeout: duration(SILENCE_MS), continueOnListenerFiltersTimeout: true } : {}),
    filterChains,
  });
}

/** Ports with a listener of their own are handed on at once: it looks at the first bytes itself. */
function exceptOn(ports: readonly InboundPort[]): Pick<ListenerFilterInit, "filterDisabled"> {
  const rules = ports.map(({ listen }) => ({ rule: { case: "destinationPortRange", value: { start: listen.port, end: listen.port + 1 } } }) as const);
  const [only, ...others] = rules;
  if (only === undefined) return {};
  return { filterDisabled: others.length === 0 ? only : { rule: { case: "orMatch", value: { rules } } } };
}

/** Where the system sends connections; what no listener of an address takes, `rest` does. Source: Envoy, listener.proto, use_original_dst. */
function captured(name: string, port: number, direction: "INBOUND" | "OUTBOUND", cluster: string, rest: NetworkFilterInit): TranslatedResource {
  return listener(name, port, direction, [`cluster/${cluster}`], {
    useOriginalDst: true,
    listenerFilters: [ORIGINAL_DST],
    filterChains: [{ filters: [rest] }],
  });
}

/**
 * Requests that no listener of an address takes, at ports where HTTP is expected: they are told apart by their authority. Where hosts are known that is at
 * addresses that no service has, by the very routes of the HTTP proxy port; where they are asked for, at the addresses of services too, so that there need
 * not be a listener for each. Istio does likewise, by a listener for each HTTP port of the mesh. It is bound nowhere: connections are handed on to it.
 */
function httpPort(port: number, proxy: Proxy, unknown: string, hosts: "known" | "on demand"): TranslatedResource {
  const name = `outbound-unknown|${port}`;
  const [kind, route] = hosts === "known" ? (["forwardProxy", HTTP_PROXY_ROUTE] as const) : (["onDemand", onDemandRouteName(port)] as const);
  const http: FilterChainInit = {
    filterChainMatch: { applicationProtocols: ["http/1.0", "http/1.1", "h2c"] },
    filters: [outboundManager(kind, route, { statPrefix: name, proxy })],
  };
  const needs = [`route/${route}`, `extension/${FILTER}`, `cluster/${unknown}`];
  return listener(name, port, "OUTBOUND", needs, {
    bindToPort: false,
    listenerFilters: [HTTP_INSPECTOR],
    listenerFiltersTimeout: duration(SILENCE_MS),
    continueOnListenerFiltersTimeout: true,
    filterChains: [http],
    defaultFilterChain: { filters: [tcpProxy(name, { case: "cluster", value: unknown }, "outbound", proxy)] },
  });
}

function listener(name: string, port: number, direction: "INBOUND" | "OUTBOUND", needs: readonly string[], init: ListenerInit): TranslatedResource {
  const message = create(ListenerSchema, {
    name,
    address: { address: { case: "socketAddress", value: { address: EVERYWHERE, portSpecifier: { case: "portValue", value: port } } } },
    trafficDirection: TrafficDirection[direction],
    ...init,
  });
  return { type: "listener", name, body: toBinary(ListenerSchema, message), origins: [], needs };
}

/** Connects to the very address that was meant. */
function originalCluster(name: string, source: ReturnType<typeof inboundSource> = {}): TranslatedResource {
  const cluster = create(ClusterSchema, {
    name,
    ...source,
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: duration(10_000),
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
  });
  return { type: "cluster", name, body: toBinary(ClusterSchema, cluster), origins: [], needs: [] };
}

/** Has no endpoint, so that connections are refused and counted. */
function blackHoleCluster(): TranslatedResource {
  const name = BLACK_HOLE_CLUSTER;
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    loadAssignment: { clusterName: name },
  });
  return { type: "cluster", name, body: toBinary(ClusterSchema, cluster), origins: [], needs: [] };
}
