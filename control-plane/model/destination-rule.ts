// DestinationRule: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 DestinationRule.
import { z } from "zod";
import { durationMs, nonNegativeInt, portNumber, stringMap, uint32 } from "./fields.ts";

export const localityLbSetting = z.strictObject({
  enabled: z.boolean().optional(),
  distribute: z.array(z.strictObject({ from: z.string(), to: z.record(z.string(), uint32) })).default([]),
  failover: z.array(z.strictObject({ from: z.string(), to: z.string() })).default([]),
  failoverPriority: z.array(z.string()).default([]),
});

const zoneAwareLbSetting = z.strictObject({
  enabled: z.boolean().optional(),
  failover: z.array(z.strictObject({ from: z.string(), to: z.string() })).default([]),
  failoverPriority: z.array(z.string()).default([]),
  minClusterSize: uint32.optional(),
});

const consistentHash = z.strictObject({
  httpHeaderName: z.string().optional(),
  httpCookie: z
    .strictObject({
      name: z.string(),
      path: z.string().optional(),
      ttl: durationMs.optional(),
      attributes: z.array(z.strictObject({ name: z.string(), value: z.string().optional() })).default([]),
    })
    .optional(),
  useSourceIp: z.boolean().optional(),
  httpQueryParameterName: z.string().optional(),
  ringHash: z.strictObject({ minimumRingSize: uint32.optional() }).optional(),
  maglev: z.strictObject({ tableSize: uint32.optional() }).optional(),
  minimumRingSize: uint32.optional(),
});

const warmup = z.strictObject({ duration: durationMs, minimumPercent: z.number().optional(), aggression: z.number().optional() });

const loadBalancer = z.strictObject({
  simple: z.enum(["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]).optional(),
  consistentHash: consistentHash.optional(),
  localityLbSetting: localityLbSetting.optional(),
  zoneAwareLbSetting: zoneAwareLbSetting.optional(),
  warmupDurationSecs: durationMs.optional(),
  warmup: warmup.optional(),
});

export const connectionPool = z.strictObject({
  tcp: z
    .strictObject({
      maxConnections: nonNegativeInt.optional(),
      connectTimeout: durationMs.optional(),
      tcpKeepalive: z.strictObject({ probes: uint32.optional(), time: durationMs.optional(), interval: durationMs.optional() }).optional(),
      maxConnectionDuration: durationMs.optional(),
      idleTimeout: durationMs.optional(),
    })
    .optional(),
  http: z
    .strictObject({
      http1MaxPendingRequests: nonNegativeInt.optional(),
      http2MaxRequests: nonNegativeInt.optional(),
      maxRequestsPerConnection: nonNegativeInt.optional(),
      maxRetries: nonNegativeInt.optional(),
      idleTimeout: durationMs.optional(),
      h2UpgradePolicy: z.enum(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]).optional(),
      useClientProtocol: z.boolean().optional(),
      maxConcurrentStreams: nonNegativeInt.optional(),
      http2KeepAlive: z.strictObject({ interval: durationMs, timeout: durationMs }).optional(),
    })
    .optional(),
});

export const outlierDetection = z.strictObject({
  splitExternalLocalOriginErrors: z.boolean().optional(),
  consecutiveLocalOriginFailures: uint32.optional(),
  consecutiveGatewayErrors: uint32.optional(),
  consecutive5xxErrors: uint32.optional(),
  consecutiveErrors: nonNegativeInt.optional(),
  interval: durationMs.optional(),
  baseEjectionTime: durationMs.optional(),
  maxEjectionPercent: z.int().min(0).max(100).optional(),
  minHealthPercent: z.int().min(0).max(100).optional(),
  outlierDetectionHttpErrorCodes: z.array(z.int().min(100).max(599)).default([]),
});

const clientTls = z.strictObject({
  mode: z.enum(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]).optional(),
  clientCertificate: z.string().optional(),
  privateKey: z.string().optional(),
  caCertificates: z.string().optional(),
  credentialName: z.string().optional(),
  subjectAltNames: z.array(z.string()).default([]),
  sni: z.string().optional(),
  insecureSkipVerify: z.boolean().optional(),
  caCrl: z.string().optional(),
});

const portPolicy = {
  loadBalancer: loadBalancer.optional(),
  connectionPool: connectionPool.optional(),
  outlierDetection: outlierDetection.optional(),
  tls: clientTls.optional(),
};

/** A port's settings replace the destination's whole: what they omit falls to the defaults, not to the destination's value. */
const portTrafficPolicy = z.strictObject({ port: z.strictObject({ number: portNumber.optional() }).optional(), ...portPolicy });

export const trafficPolicy = z.strictObject({
  ...portPolicy,
  portLevelSettings: z.array(portTrafficPolicy).default([]),
  tunnel: z.strictObject({ protocol: z.string().optional(), targetHost: z.string(), targetPort: portNumber }).optional(),
  proxyProtocol: z.strictObject({ version: z.enum(["V1", "V2"]).optional() }).optional(),
  retryBudget: z.strictObject({ percent: z.number().optional(), minRetryConcurrency: uint32.optional(), budgetInterval: durationMs.optional() }).optional(),
});

const subset = z.strictObject({ name: z.string().min(1), labels: stringMap.default({}), trafficPolicy: trafficPolicy.optional() });

export const destinationRuleSpec = z.strictObject({
  host: z.string().min(1),
  trafficPolicy: trafficPolicy.optional(),
  subsets: z.array(subset).default([]),
  exportTo: z.array(z.string()).default([]),
  workloadSelector: z.strictObject({ matchLabels: stringMap.default({}) }).optional(),
});

export type DestinationRuleSpec = z.output<typeof destinationRuleSpec>;
export type TrafficPolicy = z.output<typeof trafficPolicy>;
export type PortTrafficPolicy = z.output<typeof portTrafficPolicy>;
export type LoadBalancer = z.output<typeof loadBalancer>;
export type ConsistentHash = z.output<typeof consistentHash>;
export type ConnectionPool = z.output<typeof connectionPool>;
export type OutlierDetection = z.output<typeof outlierDetection>;
export type LocalityLbSetting = z.output<typeof localityLbSetting>;
export type Subset = z.output<typeof subset>;
