// One request of one proxy's program or client, without network: through the listener it would reach, the routes of that listener, and the filter's choice.
import type { HttpConnectionManager } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import type { ListenAddress } from "../mesh/instance.ts";
import { type DecidedSimulation, type FilterInstance, simulateDecided } from "../simulate/decide.ts";
import { type ConnectionEnd, matchListener, type SimulatedConnection, type TcpChoice } from "../simulate/match-listener.ts";
import { readRequest } from "../simulate/read-request.ts";
import type { SimulatedRequest } from "../simulate/request.ts";
import type { ProxyConfiguration } from "./configuration.ts";

/** A request, and the place that it is sent to. */
export interface Question {
  /** Where the listener is bound. */
  readonly place: ListenAddress;
  readonly request: SimulatedRequest;
  /** Where the client meant to go and how it connects; plain HTTP to `place` where it is absent. */
  readonly connection?: SimulatedConnection;
}

/** What becomes of it. */
export type Answer =
  | { readonly kind: "no listener" }
  | { readonly kind: "no filter chain"; readonly listener: string }
  | { readonly kind: "unsupported"; readonly listener: string; readonly what: string }
  /** Bytes to one of these clusters. */
  | { readonly kind: "tcp"; readonly listener: string; readonly clusters: readonly TcpChoice[] }
  | {
      readonly kind: "http";
      readonly listener: string;
      readonly routeConfiguration: string;
      /** As it was routed: path and host as the manager reads them. */
      readonly request: SimulatedRequest;
      readonly simulation: DecidedSimulation;
    };

/** Asks a proxy's configuration. Throws where RE2 refuses a pattern: Envoy refuses such a configuration as a whole. */
export function ask(configuration: ProxyConfiguration, question: Question, filter: FilterInstance): Answer {
  const { place, request } = question;
  const listener = configuration.listenerAt(place);
  if (listener === undefined) return { kind: "no listener" };
  const end: ConnectionEnd = matchListener(listener, question.connection ?? plainConnection(place));
  switch (end.kind) {
    case "no filter chain":
      return { kind: "no filter chain", listener: listener.name };
    case "unsupported":
      return { kind: "unsupported", listener: listener.name, what: end.what };
    case "tcp":
      return { kind: "tcp", listener: listener.name, clusters: end.clusters };
    case "http":
      return askManager(configuration, listener.name, end.manager, readRequest(request, end.manager, place.port), filter);
  }
}

/** A connection for HTTP/1.1 without TLS, as an inspector reads it. */
export function plainConnection({ address, port }: ListenAddress): SimulatedConnection {
  return { address, port, transport: "raw_buffer", applicationProtocols: ["http/1.1"] };
}

function askManager(
  configuration: ProxyConfiguration,
  listener: string,
  manager: HttpConnectionManager,
  request: SimulatedRequest,
  filter: FilterInstance,
): Answer {
  const { routeSpecifier } = manager;
  switch (routeSpecifier.case) {
    case "rds": {
      const name = routeSpecifier.value.routeConfigName;
      const routes = configuration.routeConfiguration(name);
      if (routes === undefined) return { kind: "unsupported", listener, what: `there is no route configuration ${name}` };
      return { kind: "http", listener, routeConfiguration: name, request, simulation: simulateDecided(routes, request, filter) };
    }
    case "routeConfig": {
      const { value } = routeSpecifier;
      return { kind: "http", listener, routeConfiguration: value.name, request, simulation: simulateDecided(value, request, filter) };
    }
    case "scopedRoutes":
    case undefined:
      return { kind: "unsupported", listener, what: routeSpecifier.case ?? "no routes" };
  }
}
