// What Envoy would do with a request: a route configuration and a request go in, the virtual host, the routes passed over, the route taken and its action come out.

import { VirtualHost_TlsRequirementType } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import { type Action, act, type LocalAnswer, localStatus } from "./act.ts";
import type { Runtime } from "./fraction.ts";
import { matchRoute, type PassedRoute, type RouteSearch } from "./match-route.ts";
import { type MatchedVirtualHost, matchVirtualHost } from "./match-virtual-host.ts";
import type { SimulatedRequest } from "./request.ts";
import { tlsLocation } from "./rewrite.ts";

/** The whole way of a request through a route configuration. */
export interface Simulation {
  /** Undefined where no domain matches. */
  readonly host: MatchedVirtualHost | undefined;
  /** Undefined where no route takes it, or where the host demands TLS. */
  readonly taken: RouteSearch["taken"];
  readonly passed: readonly PassedRoute[];
  readonly action: Action | NotFound;
}

/** Nothing matched: the proxy answers 404, or what that is to a gRPC client. */
interface NotFound {
  readonly kind: "no virtual host" | "no route";
  readonly status: number;
  readonly grpcStatus?: number;
}

/**
 * Simulates one request. A virtual host whose routes stand in a matcher tree is reported as an unsupported action.
 * Throws where RE2 refuses a pattern: Envoy refuses such a configuration as a whole.
 */
export function simulate(configuration: RouteConfiguration, request: SimulatedRequest, runtime: Runtime = {}): Simulation {
  const host = matchVirtualHost(configuration, request.authority);
  if (host === undefined) return { host, taken: undefined, passed: [], action: { kind: "no virtual host", ...localStatus(404, request) } };
  const { virtualHost } = host;
  if (demandsTls(virtualHost.requireTls, request)) return { host, taken: undefined, passed: [], action: tlsRedirect(request) };
  if (virtualHost.matcher !== undefined) return { host, taken: undefined, passed: [], action: { kind: "unsupported", what: "matcher tree" } };
  const { taken, passed } = matchRoute(virtualHost, request, { ignorePathParameters: configuration.ignorePathParametersInPathMatching, runtime });
  const action = taken ? act({ configuration, virtualHost, route: taken.route }, request) : { kind: "no route" as const, ...localStatus(404, request) };
  return { host, taken, passed, action };
}

/** By `x-forwarded-proto`, not by the connection. Source: config_impl.cc, getRouteFromEntries. */
function demandsTls(requirement: VirtualHost_TlsRequirementType, request: SimulatedRequest): boolean {
  if ((request.headers["x-forwarded-proto"]?.[0] ?? request.scheme) === "https") return false;
  switch (requirement) {
    case VirtualHost_TlsRequirementType.ALL:
      return true;
    case VirtualHost_TlsRequirementType.EXTERNAL_ONLY:
      return request.internal !== true;
    case VirtualHost_TlsRequirementType.NONE:
      return false;
  }
}

function tlsRedirect(request: SimulatedRequest): LocalAnswer {
  return { kind: "redirect", ...localStatus(301, request), location: tlsLocation(request), body: "", path: request.path, responseSteps: [] };
}
