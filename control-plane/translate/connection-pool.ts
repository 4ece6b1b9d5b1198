// Limits, times and protocol of the connections to a destination: a DestinationRule's connectionPool to Envoy's fields.
import type { CircuitBreakersSchema } from "../gen/envoy/config/cluster/v3/circuit_breaker_pb.js";
import type { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { MatchPredicateSchema } from "../gen/envoy/config/common/matcher/v3/matcher_pb.js";
import type {
  HttpProtocolOptionsSchema as CommonHttpOptionsSchema,
  Http2ProtocolOptionsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from "../gen/envoy/config/core/v3/protocol_pb.js";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import type { PortProtocol } from "../mesh/mesh.ts";
import type { EffectivePolicy } from "../mesh/policy.ts";
import { isHttp } from "../mesh/services.ts";
import type { ConnectionPool } from "../model/destination-rule.ts";
import { packAny } from "./any.ts";
import type { ClusterDefaults } from "./defaults.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";

type ClusterInit = Init<typeof ClusterSchema>;
type OptionsInit = Init<typeof HttpProtocolOptionsSchema>;

/**
 * Where a cluster says nothing. With HTTP/1.1, which is Envoy's default too, that is all that most clusters would say, and they would say it in 170 bytes.
 * Source: protocol.proto, HttpProtocolOptions.idle_timeout.
 */
const ENVOY_IDLE_TIMEOUT_MS = 3_600_000;
/** Where Envoy looks for the HTTP options of a cluster. */
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Source: Istio reference, TrafficPolicy.RetryBudget. */
const RETRY_BUDGET = { percent: 20, minRetryConcurrency: 3 } as const;

/** At most so many at once; what exceeds a limit is answered 503 with the flag UO. */
export function circuitBreakers({ connectionPool, retryBudget }: EffectivePolicy, defaults: ClusterDefaults): Init<typeof CircuitBreakersSchema> {
  const { tcp, http } = connectionPool ?? {};
  return {
    thresholds: [
      {
        maxConnections: tcp?.maxConnections || defaults.limit,
        maxPendingRequests: http?.http1MaxPendingRequests || defaults.limit,
        maxRequests: http?.http2MaxRequests || defaults.limit,
        maxRetries: http?.maxRetries || defaults.limit,
        ...(retryBudget === undefined
          ? {}
          : {
              retryBudget: {
                budgetPercent: { value: retryBudget.percent ?? RETRY_BUDGET.percent },
                minRetryConcurrency: retryBudget.minRetryConcurrency || RETRY_BUDGET.minRetryConcurrency,
                ...(retryBudget.budgetInterval ? { budgetInterval: duration(retryBudget.budgetInterval) } : {}),
              },
            }),
      },
    ],
  };
}

/** Connect timeout and TCP keepalive. */
export function connectionFields(pool: ConnectionPool | undefined, defaults: ClusterDefaults): ClusterInit {
  const keepalive = pool?.tcp?.tcpKeepalive;
  return {
    connectTimeout: duration(pool?.tcp?.connectTimeout || defaults.connectTimeoutMs),
    ...(keepalive === undefined
      ? {}
      : {
          upstreamConnectionOptions: {
            tcpKeepalive: {
              ...(keepalive.probes ? { keepaliveProbes: keepalive.probes } : {}),
              ...(keepalive.time ? { keepaliveTime: wholeSeconds(keepalive.time) } : {}),
              ...(keepalive.interval ? { keepaliveInterval: wholeSeconds(keepalive.interval) } : {}),
            },
          },
        }),
  };
}

/** Protocol and lifetime of HTTP connections to other proxies; nothing for a port of bytes. `names`: what TLS takes from requests. */
export function outboundHttpOptions(
  protocol: PortProtocol,
  { connectionPool: pool, outlierDetection }: EffectivePolicy,
  defaults: ClusterDefaults,
  names: Init<typeof UpstreamHttpProtocolOptionsSchema> = {},
): ClusterInit {
  const named = Object.keys(names).length > 0;
  if (!isHttp(protocol) && !named) return {};
  const { tcp, http } = pool ?? {};
  const codes = outlierDetection?.outlierDetectionHttpErrorCodes ?? [];
  const idleTimeoutMs = http?.idleTimeout ?? tcp?.idleTimeout ?? defaults.idleTimeoutMs;
  const common: Init<typeof CommonHttpOptionsSchema> = {
    idleTimeout: duration(idleTimeoutMs),
    ...(http?.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
    ...(tcp?.maxConnectionDuration ? { maxConnectionDuration: duration(tcp.maxConnectionDuration) } : {}),
  };
  const protocolOptions = upstreamProtocol(protocol, pool);
  const plain = protocolOptions.case === "explicitHttpConfig" && protocolOptions.value.protocolConfig?.case === "httpProtocolOptions";
  if (plain && !named && codes.length === 0 && Object.keys(common).length === 1 && idleTimeoutMs === ENVOY_IDLE_TIMEOUT_MS) return {};
  return options({
    commonHttpProtocolOptions: common,
    ...(named ? { upstreamHttpProtocolOptions: names } : {}),
    upstreamProtocolOptions: protocolOptions,
    ...(codes.length > 0 ? { outlierDetection: { errorMatcher: statusIsOneOf(codes) } } : {}),
  });
}

/** Answers that count as errors, in place of all 5xx. Source: Istio, applyOutlierDetectionErrorCodes. */
function statusIsOneOf(codes: readonly number[]): Init<typeof MatchPredicateSchema> {
  const rules = codes.map((code): Init<typeof MatchPredicateSchema> => {
    const exact = { case: "stringMatch", value: { matchPattern: { case: "exact", value: String(code) } } } as const;
    return { rule: { case: "httpResponseHeadersMatch", value: { headers: [{ name: ":status", headerMatchSpecifier: exact }] } } };
  });
  const [only, ...others] = rules;
  return only !== undefined && others.length === 0 ? only : { rule: { case: "orMatch", value: { rules } } };
}

/** Whether a cluster speaks HTTP/2. */
export function speaksHttp2(protocol: PortProtocol, pool: ConnectionPool | undefined): boolean {
  return protocol === "http2" || protocol === "grpc" || pool?.http?.h2UpgradePolicy === "UPGRADE";
}

/** Connections to the application beside the proxy. gRPC and HTTP/2 ports are spoken to in HTTP/2 with prior knowledge, all others in HTTP/1.1. */
export function inboundHttpOptions(protocol: PortProtocol, pool: ConnectionPool | undefined, defaults: ClusterDefaults): ClusterInit {
  if (!isHttp(protocol)) return {};
  const { http } = pool ?? {};
  const common: Init<typeof CommonHttpOptionsSchema> = {
    idleTimeout: duration(http?.idleTimeout ?? pool?.tcp?.idleTimeout ?? defaults.inboundIdleTimeoutMs),
    ...(http?.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
    ...(pool?.tcp?.maxConnectionDuration ? { maxConnectionDuration: duration(pool.tcp.maxConnectionDuration) } : {}),
  };
  return options({ commonHttpProtocolOptions: common, upstreamProtocolOptions: upstreamProtocol(protocol, pool) });
}

function options(init: OptionsInit): ClusterInit {
  return { typedExtensionProtocolOptions: { [HTTP_OPTIONS]: packAny(HttpProtocolOptionsSchema, init) } };
}

function upstreamProtocol(protocol: PortProtocol, pool: ConnectionPool | undefined): NonNullable<OptionsInit["upstreamProtocolOptions"]> {
  const { http } = pool ?? {};
  const http2: Init<typeof Http2ProtocolOptionsSchema> = {
    ...(http?.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}),
    ...(http?.http2KeepAlive
      ? { connectionKeepalive: { interval: duration(http.http2KeepAlive.interval), timeout: duration(http.http2KeepAlive.timeout) } }
      : {}),
  };
  if (http?.useClientProtocol) return { case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions: http2 } };
  return {
    case: "explicitHttpConfig",
    value: { protocolConfig: speaksHttp2(protocol, pool) ? { case: "http2ProtocolOptions", value: http2 } : { case: "httpProtocolOptions", value: {} } },
  };
}

/** Linux counts keepalive in whole seconds. */
function wholeSeconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1_000));
}
