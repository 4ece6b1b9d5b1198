// The filter chains of a port by what its PeerAuthentication says: mutual TLS alone, plain text alone, or both on one port, told apart by the first bytes.
import type { EffectiveMutualTls } from "../mesh/security-policies.ts";
import type { FilterChainInit } from "./filter-chains.ts";
import { downstreamMutualTls, type InnerProtocol } from "./transport-socket.ts";

/** What a port asks of connections. */
export interface ConnectionSecurity {
  readonly mode: EffectiveMutualTls;
  /** Under which a client's certificate counts. */
  readonly trustDomains: readonly string[];
}

/** Plain text, as everywhere in a mesh without certificates. */
export const PLAIN_CONNECTIONS: ConnectionSecurity = { mode: "DISABLE", trustDomains: [] };

/**
 * The chains with the same filters in each. Under PERMISSIVE a client that offers "istio" by ALPN is one of the mesh; TLS that others speak is for the
 * program behind the port, and passes like plain text. Source: Istio, "Permissive mode", and filterchain_options.go of pilot/pkg/networking/core.
 */
export function inboundChains({ mode, trustDomains }: ConnectionSecurity, protocol: InnerProtocol, chain: FilterChainInit): readonly FilterChainInit[] {
  const encrypted = (applicationProtocols: string[]): FilterChainInit => ({
    ...chain,
    filterChainMatch: { ...chain.filterChainMatch, transportProtocol: "tls", applicationProtocols },
    transportSocket: downstreamMutualTls({ trustDomains, protocol }),
  });
  switch (mode) {
    case "STRICT":
      return [encrypted([])];
    case "PERMISSIVE":
      return [encrypted(["istio"]), chain];
    case "DISABLE":
      return [chain];
  }
}
