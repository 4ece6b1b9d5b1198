// What mutual TLS between two sidecars costs: CPU of both per request, in plain text, over connections that are kept, and with a handshake for each request.

import { freePort } from "../../control-plane/test/free-ports.ts";
import { createTestAuthority, type Identity } from "../e2e/peers.ts";
import { httpListener, type ListenerCost, type ListenerCostOptions, measureListeners } from "./listener-cost.ts";

const UPSTREAM = "application";
const TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

const inline = (text: string): object => ({ inline_string: text });

/** The settings of translate/transport-socket.ts, with the certificates in place. */
function commonContext({ cert, key }: Identity, roots: string, alpn: readonly string[], expected: object): object {
  return {
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    alpn_protocols: alpn,
    tls_certificates: [{ certificate_chain: inline(cert), private_key: inline(key) }],
    validation_context: { trusted_ca: inline(roots), match_typed_subject_alt_names: [{ san_type: "URI", matcher: expected }] },
  };
}

function cluster(name: string, port: number, more: object): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return { name, type: "STATIC", load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] }, ...more };
}

/** At most so many requests on a connection; 0: as many as come. */
function requestsPerConnection(count: number): object {
  const options = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http_protocol_options: {} },
    ...(count === 0 ? {} : { common_http_protocol_options: { max_requests_per_connection: count } }),
  };
  return { typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options } };
}

/** An inbound listener, plain or with a transport socket. */
function inbound(name: string, port: number, transportSocket?: object): object {
  const base = httpListener(name, { route: { route: { cluster: UPSTREAM } } });
  const chains = "filter_chains" in base && Array.isArray(base.filter_chains) ? base.filter_chains : [];
  return {
    ...base,
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: chains.map((chain: object) => ({ ...chain, ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }) })),
  };
}

/** CPU per request with and without mutual TLS. Linux only. */
export async function measureMutualTlsCost(options: Pick<ListenerCostOptions, "rounds" | "seed" | "onProgress">): Promise<readonly ListenerCost[]> {
  const authority = await createTestAuthority();
  const [caller, server] = ["spiffe://cluster.local/ns/default/sa/shop", "spiffe://cluster.local/ns/default/sa/orders"] as const;
  const [plainPort, securePort] = [await freePort(), await freePort()];
  const ofServer = commonContext(await authority.identityOf(server), authority.rootsPem, ["h2", "http/1.1"], { prefix: "spiffe://cluster.local/" });
  const ofCaller = commonContext(await authority.identityOf(caller), authority.rootsPem, ["istio", "http/1.1"], { exact: server });
  const downstream = { "@type": `${TYPE}.DownstreamTlsContext`, require_client_certificate: true, common_tls_context: ofServer };
  const upstream = { "@type": `${TYPE}.UpstreamTlsContext`, sni: "outbound_.80_._.orders.default.svc.cluster.local", common_tls_context: ofCaller };
  const socket = (typedConfig: object): object => ({ name: "envoy.transport_sockets.tls", typed_config: typedConfig });
  const secure = { transport_socket: socket(upstream) };
  const variant = (name: string, to: string) => ({ name, listener: (listener: string) => httpListener(listener, { route: { route: { cluster: to } } }) });
  return measureListeners({
    ...options,
    variants: [
      variant("plain text, connections kept", "plain"),
      variant("mutual TLS, connections kept", "secure"),
      variant("plain text, a connection for each request", "plain-each"),
      variant("mutual TLS, a handshake for each request", "secure-each"),
    ],
    behind: [inbound("inbound-plain", plainPort), inbound("inbound-secure", securePort, socket(downstream))],
    clusters: (port) => [
      cluster(UPSTREAM, port, {}),
      cluster("plain", plainPort, requestsPerConnection(0)),
      cluster("secure", securePort, { ...requestsPerConnection(0), ...secure }),
      cluster("plain-each", plainPort, requestsPerConnection(1)),
      cluster("secure-each", securePort, { ...requestsPerConnection(1), ...secure }),
    ],
    headers: [{}],
  });
}
