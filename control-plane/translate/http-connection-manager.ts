// Envoy's HTTP connection manager as Weft's listeners use it: what they have in common, and the kinds in which they differ.

import { create, toBinary } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base_pb.js";
import type { FilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { OnDemandSchema } from "../gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpConnectionManager_UpgradeConfigSchema,
  HttpConnectionManagerSchema,
  type HttpFilterSchema,
  type LocalReplyConfigSchema,
  type ResponseMapperSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { HeaderMutationSchema } from "../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { accessLog } from "./access-log.ts";
import { packAny } from "./any.ts";
import { ADS_WITHOUT_LIMIT } from "./config-source.ts";
import { CORS_FILTER } from "./cors.ts";
import { duration } from "./duration.ts";
import { FAULT_FILTER } from "./faults.ts";
import { filterDeathLog } from "./filter-deaths.ts";
import { DECIDING_FILTER, DECIDING_FILTER_ON_DEMAND, EXPLAINING_FILTER } from "./filter-resources.ts";
import type { Init } from "./init.ts";
import { isOnDemandRoute, RETRY_MARKER_HEADER } from "./names.ts";
import { PASS_THROUGH_FILTER } from "./pass-through.ts";
import { NO_SECURITY, type PortSecurity } from "./port-security.ts";
import { timeouts } from "./route-action.ts";
import { MATCH_ALL } from "./route-match.ts";

type ManagerInit = Init<typeof HttpConnectionManagerSchema>;
type HttpFilterInit = Init<typeof HttpFilterSchema>;
export type NetworkFilterInit = Init<typeof FilterSchema>;

/** Who listens, and by which name its statistics go. */
export interface ManagerOptions {
  readonly statPrefix: string;
  readonly proxy: Proxy;
  /** What is asked of callers before anything else happens; nothing where it is absent. */
  readonly security?: PortSecurity;
}

/** No client may speak in the proxies' own headers. */
const OWN_HEADERS_REMOVED: Init<typeof HeaderMutationSchema> = {
  mutations: [{ action: { case: "removeOnMatch", value: { keyMatcher: { matchPattern: { case: "prefix", value: "x-weft-" } } } } }],
};

/** Without the headers by which Envoy tells about itself: a program gets what the other program sent. */
const ROUTER: HttpFilterInit = {
  name: "envoy.filters.http.router",
  configType: { case: "typedConfig", value: packAny(RouterSchema, { suppressEnvoyHeaders: true }) },
};

/** Answers preflights and allows origins as a route's own configuration says; nothing by itself. */
const CORS: HttpFilterInit = { name: CORS_FILTER, configType: { case: "typedConfig", value: packAny(CorsSchema, {}) } };

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

/** Holds a request whose host the proxy does not know yet until the control plane has told it, or has said that there is none. */
const ON_DEMAND: HttpFilterInit = { name: "envoy.filters.http.on_demand", configType: { case: "typedConfig", value: packAny(OnDemandSchema, {}) } };

/**
 * For how long a request waits for the control plane to say what its host is. Routes that are known have no such limit (translate/on-demand-routes.ts).
 * Source: Envoy, HttpConnectionManager.stream_idle_timeout, which routes may set aside.
 */
const ON_DEMAND_WAIT_MS = 5_000;

/** Envoy by itself would say "stream timeout", and 408 or 504 depending on the request. `SI`: stream idle timeout. */
const ON_DEMAND_REPLIES: Init<typeof LocalReplyConfigSchema> = {
  mappers: [
    {
      filter: { filterSpecifier: { case: "responseFlagFilter", value: { flags: ["SI"] } } },
      statusCode: 504,
      bodyFormatOverride: {
        format: {
          case: "textFormatSource",
          value: {
            specifier: {
              case: "inlineString",
              value: `%REQ(:AUTHORITY)% is called for the first time, and the control plane did not say within ${ON_DEMAND_WAIT_MS / 1_000} s what it is: it may be away. What was called before goes on.\n`,
            },
          },
        },
      },
    },
  ],
};

const upgradesTo = (...types: readonly string[]): Init<typeof HttpConnectionManager_UpgradeConfigSchema>[] => types.map((upgradeType) => ({ upgradeType }));

/**
 * The part that all managers of a kind have in common, encoded. A mesh has a manager for each (proxy, service), so that only what differs is
 * encoded for each: protobuf merges messages whose bytes stand one after the other. Source: Protocol Buffers, "Encoding", last one wins.
 */
function encodeKind(init: ManagerInit): Uint8Array {
  const manager = create(HttpConnectionManagerSchema, {
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
  return toBinary(HttpConnectionManagerSchema, manager);
}

const KINDS = {
  sidecar: encodeKind({
    useRemoteAddress: false,
    upgradeConfigs: upgradesTo("websocket"),
    httpFilters: [CORS, FAULTS, DECIDING_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  forwardProxy: encodeKind({
    useRemoteAddress: false,
    upgradeConfigs: upgradesTo("websocket", "CONNECT"),
    httpProtocolOptions: { allowAbsoluteUrl: true },
    httpFilters: [CORS, FAULTS, DECIDING_FILTER, PASS_THROUGH_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  onDemand: encodeKind({
    useRemoteAddress: false,
    upgradeConfigs: upgradesTo("websocket", "CONNECT"),
    httpProtocolOptions: { allowAbsoluteUrl: true },
    streamIdleTimeout: duration(ON_DEMAND_WAIT_MS),
    localReplyConfig: ON_DEMAND_REPLIES,
    httpFilters: [ON_DEMAND, CORS, FAULTS, DECIDING_FILTER_ON_DEMAND, PASS_THROUGH_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  gateway: encodeKind({
    useRemoteAddress: true,
    // What clients themselves say about their certificates is not passed on. Source: Istio, gateways.
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET,
    setCurrentClientCertDetails: { subject: true, cert: true, uri: true, dns: true },
    upgradeConfigs: upgradesTo("websocket"),
    // A route may lead to a ServiceEntry that is found by the names of requests.
    httpFilters: [CORS, FAULTS, DECIDING_FILTER, PASS_THROUGH_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  explain: encodeKind({
    useRemoteAddress: false,
    httpFilters: [EXPLAINING_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  explainOnDemand: encodeKind({
    useRemoteAddress: false,
    streamIdleTimeout: duration(ON_DEMAND_WAIT_MS),
    localReplyConfig: ON_DEMAND_REPLIES,
    httpFilters: [ON_DEMAND, EXPLAINING_FILTER, ROUTER],
    accessLog: [filterDeathLog()],
  }),
  inbound: encodeKind({
    useRemoteAddress: false,
    upgradeConfigs: upgradesTo("websocket"),
    httpFilters: [ROUTER],
    // Who calls by mutual TLS stands in the header; in plain text Envoy takes it away. Source: Istio, inbound listeners.
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD,
    setCurrentClientCertDetails: { subject: true, uri: true, dns: true },
    localReplyConfig: { mappers: [retryMarker("unsent", ["UF", "UO", "UH"]), retryMarker("reset", ["UC"])] },
  }),
};

/**
 * Requests on their way to services: from a sidecar's program, from a program whose targets stand in the requests and may be unknown to the mesh
 * (`forwardProxy`; `onDemand` where the proxy asks for each of them when it is first called), or from a gateway's clients.
 */
export function outboundManager(
  kind: "sidecar" | "forwardProxy" | "onDemand" | "gateway",
  routeConfiguration: string,
  { statPrefix, proxy, security }: ManagerOptions,
): NetworkFilterInit {
  return manager(kind, { statPrefix, routeSpecifier: rds(routeConfiguration), accessLog: accessLog("request", "outbound", proxy, security?.dryRun) }, security);
}

/** Answers what the routes would do, or that none matches, and never lets a request through. */
export function explainManager(routeConfiguration: string, statPrefix: string): NetworkFilterInit {
  return manager(isOnDemandRoute(routeConfiguration) ? "explainOnDemand" : "explain", { statPrefix, routeSpecifier: rds(routeConfiguration) });
}

/** Requests to the program beside the sidecar. */
export function inboundManager(cluster: string, { statPrefix, proxy, security }: ManagerOptions): NetworkFilterInit {
  const retryPolicy = { retryOn: "reset-before-request", numRetries: 2 };
  const action = { ...timeouts(undefined), clusterSpecifier: { case: "cluster", value: cluster }, retryPolicy } as const;
  const routes = [{ name: "default", match: MATCH_ALL, action: { case: "route", value: action } } as const];
  const virtualHosts = [{ name: cluster, domains: ["*"], routes }];
  const init: ManagerInit = {
    statPrefix,
    // What the program itself says by the marker's name is not the sidecar's word.
    routeSpecifier: { case: "routeConfig", value: { name: cluster, virtualHosts, responseHeadersToRemove: [RETRY_MARKER_HEADER] } },
    accessLog: accessLog("request", "inbound", proxy, security?.dryRun),
  };
  return manager("inbound", init, security);
}

/**
 * Where policies decide by the path, a policy and the program behind it must see the same one: `//` becomes `/`, and so do `%2F` and `%5C`, in the request itself.
 * Elsewhere paths reach the program as they were sent, but for what `normalize_path` does to them. Source: Istio, "Authorization Policy Normalization".
 */
const ONE_FORM_OF_PATHS: ManagerInit = {
  mergeSlashes: true,
  pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD,
};

/** Filters that come first stand first in the bytes, and fields that replace the kind's stand last. */
function manager(kind: keyof typeof KINDS, init: ManagerInit, security: PortSecurity = NO_SECURITY): NetworkFilterInit {
  const encode = (part: ManagerInit): Uint8Array => toBinary(HttpConnectionManagerSchema, create(HttpConnectionManagerSchema, part));
  const first = security.http.length === 0 ? [] : [encode({ httpFilters: [...security.http] })];
  const last = security.decidesByPath ? { ...init, ...ONE_FORM_OF_PATHS } : init;
  const value = Buffer.concat([...first, KINDS[kind], encode(last)]);
  const typedConfig = { typeUrl: `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`, value };
  return { name: "envoy.filters.network.http_connection_manager", configType: { case: "typedConfig", value: typedConfig } };
}

function rds(routeConfigName: string): NonNullable<ManagerInit["routeSpecifier"]> {
  return { case: "rds", value: { configSource: ADS_WITHOUT_LIMIT, routeConfigName } };
}
