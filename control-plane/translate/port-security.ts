// What a port asks of those who call it, as filters: valid tokens, then an authorizer outside, then the policies. Mesh, workload and port in, filters out.
import type { Mesh } from "../mesh/mesh.ts";
import { authorizationOf, isDryRun } from "../mesh/security-policies.ts";
import type { AuthorizationPolicy } from "../model/resource.ts";
import { type AuthorizedPort, type HttpFilterInit, httpAuthorization, type NetworkFilterInit, tcpAuthorization } from "./authorization/filters.ts";
import { jwtAuthentication, type TokenCheckingWorkload } from "./jwt-authentication.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { type ResourceOrigin, type TranslatedResource, uniqueOrigins } from "./resource.ts";

/** The filters of one port, for whichever its traffic is. */
export interface PortSecurity {
  /** In the order of the chain, before all other HTTP filters. */
  readonly http: readonly HttpFilterInit[];
  /** Likewise, before tcp_proxy. */
  readonly network: readonly NetworkFilterInit[];
  /** Policies decide by the path: requests whose paths say one thing to a policy and another to a program must be brought into one form. */
  readonly decidesByPath: boolean;
  /** Some of the policies are only tried, or audit; what they would decide, and that they took note, belongs into the access log. */
  readonly dryRun: boolean;
  readonly origins: readonly ResourceOrigin[];
  /** Clusters of authorizers: Envoy refuses a listener that asks one by gRPC which it does not know. */
  readonly needs: readonly string[];
}

/** What the filters of a workload ask over the network: hosts of the mesh, and clusters of other hosts. */
export interface SecurityUpstreams {
  readonly clusters: readonly ClusterKey[];
  readonly resources: readonly TranslatedResource[];
}

/** Whose port it is. */
export type SecuredProxy = TokenCheckingWorkload & { readonly kind: "sidecar" | "gateway" };

/** A port without policies. */
export const NO_SECURITY: PortSecurity = { http: [], network: [], decidesByPath: false, dryRun: false, origins: [], needs: [] };

/** The filters of a sidecar's inbound port (by its container port) or of a gateway's port (by the number in its Gateways). */
export function portSecurity(mesh: Mesh, workload: SecuredProxy, port: AuthorizedPort): PortSecurity {
  const tokens = jwtAuthentication(mesh, workload, workload.kind === "gateway");
  const requests = httpAuthorization(mesh, workload, port);
  const connections = tcpAuthorization(mesh, workload, port);
  if (tokens.origins.length + requests.origins.length === 0) return NO_SECURITY;
  const { custom, audit, deny, allow } = authorizationOf(mesh, workload);
  const policies = [...custom, ...audit, ...deny, ...allow];
  return {
    http: [...tokens.filters, ...requests.filters],
    network: connections.filters,
    decidesByPath: policies.some(asksForPaths),
    dryRun: audit.length > 0 || policies.some(isDryRun),
    origins: uniqueOrigins([...tokens.origins, ...requests.origins]),
    needs: [...new Set([...requests.clusters, ...connections.clusters].map((cluster) => `cluster/${outboundClusterName(cluster)}`))],
  };
}

/** The same for all ports of a workload. */
export function securityUpstreams(mesh: Mesh, workload: SecuredProxy): SecurityUpstreams {
  const tokens = jwtAuthentication(mesh, workload, workload.kind === "gateway");
  const anyPort = { known: 0, bound: 0 };
  const authorizers = [...httpAuthorization(mesh, workload, anyPort).clusters, ...tcpAuthorization(mesh, workload, anyPort).clusters];
  return { clusters: [...tokens.clusters, ...authorizers], resources: tokens.resources };
}

function asksForPaths({ spec }: AuthorizationPolicy): boolean {
  return spec.rules.some(
    ({ to, when }) =>
      to.some(({ operation }) => operation !== undefined && operation.paths.length + operation.notPaths.length > 0) ||
      when.some(({ key }) => key === "request.headers[:path]"),
  );
}
