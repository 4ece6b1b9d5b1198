// Who lets a request in: the filters of security on its way, at a gateway and at the sidecar of an endpoint, asked as Envoy would ask them. What the two proxies
// hold and the request come in; what is decided where, and why, goes out. Pure.
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Cluster } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { TransportSocket } from "../gen/envoy/config/core/v3/base_pb.js";
import type { LbEndpoint } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import type { FilterChain } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import type { Listener } from "../gen/envoy/config/listener/v3/listener_pb.js";
import type { HttpConnectionManager } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import type { ListenAddress } from "../mesh/instance.ts";
import { type Authorization, authorize, type SecurityFilter } from "../simulate/authorize.ts";
import { matchListener, type SimulatedConnection } from "../simulate/match-listener.ts";
import type { AuthorizedCall, CallToken } from "../simulate/rbac.ts";
import { readRequest } from "../simulate/read-request.ts";
import type { SimulatedRequest } from "../simulate/request.ts";
import { LEAF_SECRET } from "../translate/names.ts";

/** A call on its way to one listener. */
export interface ArrivingCall {
  /** Where the listener that it was sent to is bound. */
  readonly place: ListenAddress;
  readonly request: SimulatedRequest;
  readonly connection: SimulatedConnection;
  /** Undefined where nobody here can know it: a client of a gateway may have any address. */
  readonly clientAddress: string | undefined;
  /** SPIFFE ids in the caller's certificate; empty in plain text. */
  readonly principals: readonly string[] | undefined;
  readonly token: CallToken;
  /** A gateway stands before this proxy, and has written its client's address into the request. */
  readonly throughGateway?: boolean;
}

/** What one proxy does. `no-chain`: it closes such a connection, whatever is asked on it. */
export type Admission = Authorization | { readonly decision: "denied"; readonly by: "no-chain" } | { readonly decision: "unknown"; readonly by: "no-listener" };

/** Asks one listener. */
export function admissionAt(listener: Listener | undefined, call: ArrivingCall): Admission {
  if (listener === undefined) return { decision: "unknown", by: "no-listener" };
  const end = matchListener(listener, call.connection);
  switch (end.kind) {
    case "no filter chain":
      return { decision: "denied", by: "no-chain" };
    case "http":
      return authorize(httpFiltersOf(end.manager), httpCall(call, end.manager));
    case "tcp":
    case "unsupported":
      return authorize(networkFiltersOf(end.chain), callAt(call, call.request, call.clientAddress));
  }
}

/** How a cluster connects to one of its endpoints: in plain text, by the mesh's mutual TLS, or by TLS of another kind. */
export function connectionTo(cluster: Cluster | undefined, endpoint: LbEndpoint | undefined, place: ListenAddress, isHttp: boolean): UpstreamConnection {
  const plain = isHttp ? ["http/1.1"] : [];
  const socket = cluster === undefined ? undefined : transportSocketOf(cluster, endpoint);
  const config = socket?.configType.case === "typedConfig" ? socket.configType.value : undefined;
  if (config === undefined || !config.typeUrl.endsWith(`/${UpstreamTlsContextSchema.typeName}`))
    return { mutualTls: false, connection: { ...place, transport: "raw_buffer", applicationProtocols: plain } };
  const { sni, commonTlsContext } = fromBinary(UpstreamTlsContextSchema, config.value);
  const mutualTls = commonTlsContext?.tlsCertificateSdsSecretConfigs.some(({ name }) => name === LEAF_SECRET) ?? false;
  return { mutualTls, connection: { ...place, transport: "tls", serverName: sni, applicationProtocols: commonTlsContext?.alpnProtocols ?? [] } };
}

export interface UpstreamConnection {
  /** By the caller's own certificate of the mesh. */
  readonly mutualTls: boolean;
  readonly connection: SimulatedConnection;
}

/** The first match that the endpoint's metadata fulfil. Source: Envoy, cluster.proto, transport_socket_matches. */
function transportSocketOf(cluster: Cluster, endpoint: LbEndpoint | undefined): TransportSocket | undefined {
  const labels = endpoint?.metadata?.filterMetadata["envoy.transport_socket_match"] ?? {};
  const matched = cluster.transportSocketMatches.find(({ match = {} }) => Object.entries(match).every(([key, value]) => labels[key] === value));
  return matched === undefined ? cluster.transportSocket : matched.transportSocket;
}

function httpCall(call: ArrivingCall, manager: HttpConnectionManager): AuthorizedCall {
  const request = readRequest(call.request, manager, call.place.port);
  if (call.throughGateway === true) return callAt(call, request, undefined);
  return callAt(call, request, manager.useRemoteAddress === true ? call.clientAddress : (forwardedFor(request) ?? call.clientAddress));
}

function callAt(
  { place, connection, clientAddress, principals, token }: ArrivingCall,
  request: SimulatedRequest,
  remoteAddress: string | undefined,
): AuthorizedCall {
  return { request, principals, clientAddress, remoteAddress, destination: place, serverName: connection.serverName ?? "", token };
}

/** The last address, which the proxy before this one has written. Source: Envoy, Utility::getLastAddressFromXFF. */
function forwardedFor({ headers }: SimulatedRequest): string | undefined {
  return headers["x-forwarded-for"]?.join(",").split(",").at(-1)?.trim();
}

function httpFiltersOf({ httpFilters }: HttpConnectionManager): readonly SecurityFilter[] {
  return httpFilters.map(({ name, configType }) => ({ name, typedConfig: configType.case === "typedConfig" ? configType.value : undefined }));
}

function networkFiltersOf({ filters }: FilterChain): readonly SecurityFilter[] {
  return filters.map(({ name, configType }): { readonly name: string; readonly typedConfig: Any | undefined } => ({
    name,
    typedConfig: configType.case === "typedConfig" ? configType.value : undefined,
  }));
}
