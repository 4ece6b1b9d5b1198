// Tells an upstream where a connection came from: the PROXY protocol around a cluster's transport sockets.
import type { Cluster_TransportSocketMatchSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ProxyProtocolConfig_Version } from "../gen/envoy/config/core/v3/proxy_protocol_pb.js";
import { ProxyProtocolUpstreamTransportSchema } from "../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
import { RawBufferSchema } from "../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import type { EffectivePolicy } from "../mesh/policy.ts";
import { packAny } from "./any.ts";
import type { TransportSocketInit } from "./client-tls.ts";
import type { Init } from "./init.ts";

/** The transport of a cluster; both absent: plain text. */
export interface TransportFields {
  readonly transportSocket?: TransportSocketInit;
  /** By what the metadata of an endpoint say. */
  readonly transportSocketMatches?: (Init<typeof Cluster_TransportSocketMatchSchema> & { readonly transportSocket: TransportSocketInit })[];
}

const PLAIN: TransportSocketInit = {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: packAny(RawBufferSchema, {}) },
};

/** The same transport with the protocol's header before it. Source: Istio, applyUpstreamProxyProtocol. */
export function withProxyProtocol(fields: TransportFields, proxyProtocol: EffectivePolicy["proxyProtocol"]): TransportFields {
  if (proxyProtocol === undefined) return fields;
  const version = ProxyProtocolConfig_Version[proxyProtocol.version ?? "V1"];
  const wrap = (transportSocket: TransportSocketInit): TransportSocketInit => ({
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: { case: "typedConfig", value: packAny(ProxyProtocolUpstreamTransportSchema, { config: { version }, transportSocket }) },
  });
  const { transportSocket, transportSocketMatches } = fields;
  if (transportSocket === undefined && transportSocketMatches === undefined) return { transportSocket: wrap(PLAIN) };
  return {
    ...(transportSocket === undefined ? {} : { transportSocket: wrap(transportSocket) }),
    ...(transportSocketMatches === undefined
      ? {}
      : { transportSocketMatches: transportSocketMatches.map((match) => ({ ...match, transportSocket: wrap(match.transportSocket) })) }),
  };
}
