// Envoy's HTTP connection manager as Weft's listeners use it: what they have in common, and the three kinds in which they differ.

import { HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base_pb.js";
import type { FilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import {
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpConnectionManager_UpgradeConfigSchema,
  HttpConnectionManagerSchema,
  type HttpFilterSchema,
  type ResponseMapperSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { HeaderMutationSchema } from "../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.js";
import { accessLog } from "./access-log.ts";
import { packAny } from "./any.ts";
import { ADS_WITHOUT_LIMIT } from "./config-source.ts";
import { duration } from "./duration.ts";
import { FAULT_FILTER } from "./faults.ts";
import { DECIDING_FILTER, EXPLAINING_FILTER } from "./filter-resources.ts";
import type { Init } from "./init.ts";
import { RETRY_MARKER_HEADER } from "./names.ts";
import { PASS_THROUGH_FILTER } from "./pass-through.ts";
import { directResponse } from "./route-action.ts";

type ManagerInit = Init<typeof HttpConnectionManagerSchema>;
type HttpFilterInit = Init<typeof HttpFilterSchema>;
export type NetworkFilterInit = Init<typeof FilterSchema>;

/** What a listener is for, where its kind does not say. */
export interface ManagerOptions {
  readonly statPrefix: string;
  readonly accessLogPath: string | undefined;
}

/** Requests of a sidecar's program, or (`edge`) of a gateway's clients. `forwardProxy`: their targets stand in the requests, and may be unknown to the mesh. */
export function outboundManager(
  routeConfiguration: string,
  options: ManagerOptions & { readonly edge: boolean; readonly forwardProxy: boolean },
): NetworkFilterInit {
  const { edge, forwardProxy, accessLogPath } = options;
  return manager(options, {
    routeSpecifier: rds(routeConfiguration),
    accessLog: accessLog("request", "outbound", accessLogPath),
    useRemoteAddress: edge,
    upgradeConfigs: upgrades(forwardProxy ? ["websocket", "CONNECT"] : ["websocket"]),
    ...(forwardProxy ? { httpProtocolOptions: { allowAbsoluteUrl: true } } : {}),
    httpFilters: [FAULTS, DECIDING_FILTER, ...(forwardProxy ? [PASS_THROUGH_FILTER] : []), ROUTER],
  });
}

/** Answers what the routes would do, and never lets a request through. */
export function explainManager(routeConfiguration: string, options: ManagerOptions): NetworkFilterInit {
  return manager(options, {
    routeSpecifier: rds(routeConfiguration),
    useRemoteAddress: false,
    httpFilters: [EXPLAINING_FILTER, ROUTER],
    localReplyConfig: { mappers: [NO_ROUTE] },
  });
}

/** Requests to the program beside the sidecar. */
export function inboundManager(cluster: string, options: ManagerOptions): NetworkFilterInit {
  const retryPolicy = { retryOn: "reset-before-request", numRetries: 2 };
  const action = {
    clusterSpecifier: { case: "cluster", value: cluster },
    timeout: duration(0),
    maxStreamDuration: { grpcTimeoutHeaderMax: duration(0) },
    retryPolicy,
  } as const;
  const routes = [{ name: "default", match: { pathSpecifier: { case: "prefix", value: "/" } }, action: { case: "route", value: action } } as const];
  return manager(options, {
    routeSpecifier: {
      case: "routeConfig",
      // What the program itself says by the marker's name is not the sidecar's word.
      value: { name: cluster, virtualHosts: [{ name: cluster, domains: ["*"], routes }], responseHeadersToRemove: [RETRY_MARKER_HEADER] },
    },
    accessLog: accessLog("request", "inbound", options.accessLogPath),
    useRemoteAddress: false,
    upgradeConfigs: upgrades(["websocket"]),
    httpFilters: [ROUTER],
    localReplyConfig: { mappers: [retryMarker("unsent", ["UF", "UO", "UH"]), retryMarker("reset", ["UC"])] },
  });
}

function manager({ statPrefix }: ManagerOptions, init: ManagerInit): NetworkFilterInit {
  const typedConfig = packAny(HttpConnectionManagerSchema, {
    statPrefix,
    // A stream may be silent for as long as it likes, as in Istio.
    streamIdleTimeout: duration(0),
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    normalizePath: true,
    pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.KEEP_UNCHANGED,
    earlyHeaderMutationExtensions: [
      { name: "envoy.http.early_header_mutation.header_mutation", typedConfig: packAny(HeaderMutationSchema, OWN_HEADERS_REMOVED) },
    ],
    ...init,
  });
  return { name: "envoy.filters.network.http_connection_manager", configType: { case: "typedConfig", value: typedConfig } };
}

/** No client may speak in the proxies' own headers. */
const OWN_HEADERS_REMOVED: Init<typeof HeaderMutationSchema> = {
  mutations: [{ action: { case: "removeOnMatch", value: { keyMatcher: { matchPattern: { case: "prefix", value: "x-weft-" } } } } }],
};

function rds(routeConfigName: string): NonNullable<ManagerInit["routeSpecifier"]> {
  return { case: "rds", value: { configSource: ADS_WITHOUT_LIMIT, routeConfigName } };
}

function upgrades(types: readonly string[]): Init<typeof HttpConnectionManager_UpgradeConfigSchema>[] {
  return types.map((upgradeType) => ({ upgradeType }));
}

/** Without the headers by which Envoy tells about itself: a program gets what the other program sent. */
const ROUTER: HttpFilterInit = {
  name: "envoy.filters.http.router",
  configType: { case: "typedConfig", value: packAny(RouterSchema, { suppressEnvoyHeaders: true }) },
};

/** Injects what a route's own configuration says; nothing by itself. */
const FAULTS: HttpFilterInit = { name: FAULT_FILTER, configType: { case: "typedConfig", value: packAny(HTTPFaultSchema, {}) } };

/**
 * Tells the caller's proxy that the request did not reach the program, or broke off on the way. Source: Envoy, response flags: UF connection failure,
 * UO overflow, UH no healthy upstream, UC connection termination.
 */
function retryMarker(value: "unsent" | "reset", flags: string[]): Init<typeof ResponseMapperSchema> {
  return {
    filter: { filterSpecifier: { case: "responseFlagFilter", value: { flags } } },
    headersToAdd: [{ header: { key: RETRY_MARKER_HEADER, value }, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD }],
  };
}

/** The filter answers before Envoy looks for a route; this is for what Envoy answers by itself. */
const NO_ROUTE: Init<typeof ResponseMapperSchema> = {
  filter: { filterSpecifier: { case: "responseFlagFilter", value: { flags: ["NR"] } } },
  ...bodyOf("no route matched"),
};

function bodyOf(error: string): Init<typeof ResponseMapperSchema> {
  const { body } = directResponse({ status: 404, body: { string: `${JSON.stringify({ error })}\n` } });
  return {
    ...(body === undefined ? {} : { body }),
    bodyFormatOverride: {
      format: { case: "textFormatSource", value: { specifier: { case: "inlineString", value: "%LOCAL_REPLY_BODY%" } } },
      contentType: "application/json",
    },
  };
}
