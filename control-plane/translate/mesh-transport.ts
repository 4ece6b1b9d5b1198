// How a cluster within the mesh is called: by the mesh's own mutual TLS or in plain text, where a DestinationRule writes no other TLS.

import { isInterceptSubset } from "../mesh/intercepts.ts";
import type { Endpoint, Host, Mesh, PortProtocol } from "../mesh/mesh.ts";
import { identitiesOf, isCalledByMutualTls } from "../mesh/mutual-tls.ts";
import type { EffectivePolicy } from "../mesh/policy.ts";
import { isHttp } from "../mesh/services.ts";
import { speaksHttp2 } from "./connection-pool.ts";
import type { Discovery } from "./discovery.ts";
import type { ClusterKey } from "./names.ts";
import type { TransportFields } from "./proxy-protocol.ts";
import { type InnerProtocol, PLAIN_SOCKET_MATCH, sniOf, upstreamMutualTls } from "./transport-socket.ts";

/** What is called, and what rules say about it. */
export interface MeshDestination {
  readonly key: ClusterKey;
  readonly host: Host | undefined;
  readonly protocol: PortProtocol;
  readonly policy: EffectivePolicy;
  readonly discovery: Discovery;
  readonly endpoints: readonly Endpoint[];
}

/**
 * A rule's ISTIO_MUTUAL and DISABLE count as they stand. Without a word of a rule it is mutual TLS wherever the other end takes it: each endpoint by its own
 * mark, or all together where Envoy finds them by itself. Source: Istio, "Auto mutual TLS", and buildMtlsSettings of pilot/pkg/networking/core.
 * A PROXY protocol header is for the application: a sidecar would read it as the start of TLS. So a rule with `proxyProtocol` calls in plain text.
 */
export function meshTransport(mesh: Mesh, destination: MeshDestination): TransportFields {
  const { host, policy, discovery, endpoints } = destination;
  if (!mesh.certificates || host === undefined || policy.proxyProtocol !== undefined) return {};
  const mode = policy.tls?.mode;
  if (mode === "ISTIO_MUTUAL") return { transportSocket: mutualTls(mesh, host, destination) };
  if (policy.tls !== undefined || !isCalledByMutualTls(mesh, host) || discovery.kind === "request-name") return {};
  if (discovery.kind === "original") {
    const takenByAll = endpoints.length > 0 && endpoints.every(({ plain }) => plain !== true);
    return takenByAll ? { transportSocket: mutualTls(mesh, host, destination) } : {};
  }
  return { transportSocket: mutualTls(mesh, host, destination), transportSocketMatches: [PLAIN_SOCKET_MATCH] };
}

/** Nobody's name: a host whose endpoints no service account is known of is called in vain rather than with any certificate of the mesh. */
function nobody({ settings }: Mesh, { namespace }: Host): string {
  return `spiffe://${settings.trustDomain}/ns/${namespace}/sa/`;
}

function mutualTls(mesh: Mesh, host: Host, { key, protocol, policy }: MeshDestination): NonNullable<TransportFields["transportSocket"]> {
  const { sni = "", subjectAltNames = [] } = policy.tls ?? {};
  const known = identitiesOf(mesh, host);
  const expected = subjectAltNames.length > 0 ? subjectAltNames : known;
  // The value of an intercept's header stands in its subset, and a server name has its limits.
  const named = isInterceptSubset(key.subset) ? { ...key, subset: "" } : key;
  return upstreamMutualTls({
    key: named,
    protocol: innerProtocol(protocol, policy),
    spiffeIds: expected.length > 0 ? expected : [nobody(mesh, host)],
    sni: sni === "" ? sniOf(named) : sni,
  });
}

function innerProtocol(protocol: PortProtocol, { connectionPool }: EffectivePolicy): InnerProtocol {
  if (!isHttp(protocol)) return "tcp";
  if (connectionPool?.http?.useClientProtocol) return "any-http";
  return speaksHttp2(protocol, connectionPool) ? "http2" : "http";
}
