// Where a proxy listens: for its program's requests to services, for the program itself, at a gateway's ports, and for questions of `weft explain`.
import { create, toBinary } from "@bufbuild/protobuf";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import type { GatewayPort, InboundPort, ListenAddress, Proxy, ServiceListener } from "../mesh/instance.ts";
import { accessLog } from "./access-log.ts";
import { packAny } from "./any.ts";
import { explainManager, inboundManager, type NetworkFilterInit, outboundManager } from "./http-connection-manager.ts";
import type { Init } from "./init.ts";
import { EXPLAIN_FILTER, FILTER, gatewayRouteName, HTTP_PROXY_ROUTE, inboundClusterName, serviceRouteName } from "./names.ts";
import type { ResourceOrigin, TranslatedResource } from "./resource.ts";

/** One entry of a TCP listener's division over clusters. */
export interface TcpShare {
  readonly cluster: string;
  readonly weight: number;
}

/** Requests to one port of a service: the listener that carries them, and the one that explains them. */
export function serviceListeners(
  proxy: Proxy,
  { hostname, port, listen, explainPort }: ServiceListener,
  origin: ResourceOrigin,
): readonly TranslatedResource[] {
  const route = serviceRouteName(hostname, port);
  const name = `outbound|${port}||${hostname}`;
  return [
    httpListener(name, listen, "OUTBOUND", route, FILTER, [origin], outboundManager("sidecar", route, { statPrefix: name, proxy })),
    explainListener({ address: listen.address, port: explainPort }, route, [origin]),
  ];
}

/** Connections to one port of a service that is not HTTP. */
export function tcpServiceListener(
  proxy: Proxy,
  { hostname, port, listen }: ServiceListener,
  shares: readonly TcpShare[],
  origin: ResourceOrigin,
): TranslatedResource {
  const name = `outbound|${port}||${hostname}`;
  const [first, ...others] = shares;
  const clusterSpecifier =
    others.length === 0
      ? ({ case: "cluster", value: first?.cluster ?? "" } as const)
      : ({ case: "weightedClusters", value: { clusters: shares.map(({ cluster, weight }) => ({ name: cluster, weight })) } } as const);
  const filter = tcpProxy(name, clusterSpecifier, "outbound", proxy);
  return listener(
    name,
    listen,
    "OUTBOUND",
    [filter],
    [origin],
    shares.map(({ cluster }) => `cluster/${cluster}`),
  );
}

/** The HTTP proxy port. */
export function httpProxyListeners(proxy: Proxy, httpProxy: NonNullable<Proxy["httpProxy"]>): readonly TranslatedResource[] {
  const { address, port, explainPort } = httpProxy;
  const manager = outboundManager("forwardProxy", HTTP_PROXY_ROUTE, { statPrefix: HTTP_PROXY_ROUTE, proxy });
  return [
    httpListener(HTTP_PROXY_ROUTE, { address, port }, "OUTBOUND", HTTP_PROXY_ROUTE, FILTER, [], manager),
    explainListener({ address, port: explainPort }, HTTP_PROXY_ROUTE, []),
  ];
}

/** A server port of the Gateways that a proxy serves. */
export function gatewayListeners(
  proxy: Proxy,
  { number, listen, explainPort }: GatewayPort,
  origins: readonly ResourceOrigin[],
): readonly TranslatedResource[] {
  const route = gatewayRouteName(number);
  const name = `gateway|${number}`;
  return [
    httpListener(name, listen, "OUTBOUND", route, FILTER, origins, outboundManager("gateway", route, { statPrefix: name, proxy })),
    explainListener({ address: listen.address, port: explainPort }, route, origins),
  ];
}

/** What comes to the program beside the sidecar. */
export function inboundListener(proxy: Proxy, { containerPort, listen }: InboundPort, isHttp: boolean): TranslatedResource {
  const cluster = inboundClusterName(containerPort);
  const name = `inbound|${containerPort}`;
  const filter = isHttp ? inboundManager(cluster, { statPrefix: name, proxy }) : tcpProxy(name, { case: "cluster", value: cluster }, "inbound", proxy);
  return listener(name, listen, "INBOUND", [filter], [], [`cluster/${cluster}`]);
}

function explainListener(listen: ListenAddress, route: string, origins: readonly ResourceOrigin[]): TranslatedResource {
  const name = `explain|${route}`;
  return httpListener(name, listen, "OUTBOUND", route, EXPLAIN_FILTER, origins, explainManager(route, name));
}

function httpListener(
  name: string,
  listen: ListenAddress,
  direction: "INBOUND" | "OUTBOUND",
  route: string,
  extension: string,
  origins: readonly ResourceOrigin[],
  manager: NetworkFilterInit,
): TranslatedResource {
  return listener(name, listen, direction, [manager], origins, [`route/${route}`, `extension/${extension}`]);
}

function listener(
  name: string,
  { address, port }: ListenAddress,
  direction: "INBOUND" | "OUTBOUND",
  filters: NetworkFilterInit[],
  origins: readonly ResourceOrigin[],
  needs: readonly string[],
): TranslatedResource {
  const message = create(ListenerSchema, {
    name,
    address: { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } },
    trafficDirection: TrafficDirection[direction],
    filterChains: [{ filters }],
  });
  return { type: "listener", name, body: toBinary(ListenerSchema, message), origins, needs };
}

function tcpProxy(
  statPrefix: string,
  clusterSpecifier: NonNullable<Init<typeof TcpProxySchema>["clusterSpecifier"]>,
  direction: "inbound" | "outbound",
  proxy: Proxy,
): NetworkFilterInit {
  const typedConfig = packAny(TcpProxySchema, { statPrefix, clusterSpecifier, accessLog: accessLog("connection", direction, proxy) });
  return { name: "envoy.filters.network.tcp_proxy", configType: { case: "typedConfig", value: typedConfig } };
}
