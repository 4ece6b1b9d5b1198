// VirtualService: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 VirtualService.
import { z } from "zod";
import { durationMs, headers, nonNegativeInt, percent, portNumber, stringMap, stringMatch, uint32 } from "./fields.ts";

const stringMatches = z.record(z.string(), stringMatch).default({});

/** Conditions inside one entry are ANDed, entries of a list ORed. */
export const httpMatch = z.strictObject({
  name: z.string().optional(),
  uri: stringMatch.optional(),
  scheme: stringMatch.optional(),
  method: stringMatch.optional(),
  authority: stringMatch.optional(),
  headers: stringMatches,
  withoutHeaders: stringMatches,
  queryParams: stringMatches,
  port: portNumber.optional(),
  sourceLabels: stringMap.default({}),
  sourceNamespace: z.string().optional(),
  gateways: z.array(z.string()).default([]),
  ignoreUriCase: z.boolean().default(false),
  statPrefix: z.string().optional(),
});

export const destination = z.strictObject({
  host: z.string().min(1),
  subset: z.string().optional(),
  port: z.strictObject({ number: portNumber }).optional(),
});

export const httpRouteDestination = z.strictObject({
  destination,
  weight: nonNegativeInt.default(0),
  headers: headers.optional(),
});

const redirect = z.strictObject({
  uri: z.string().optional(),
  prefixRewrite: z.string().optional(),
  authority: z.string().optional(),
  port: portNumber.optional(),
  derivePort: z.enum(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]).optional(),
  scheme: z.string().optional(),
  redirectCode: uint32.optional(),
});

const directResponse = z.strictObject({
  status: uint32,
  body: z.strictObject({ string: z.string().optional(), bytes: z.string().optional() }).optional(),
});

const rewrite = z.strictObject({
  uri: z.string().optional(),
  authority: z.string().optional(),
  uriRegexRewrite: z.strictObject({ match: z.string(), rewrite: z.string() }).optional(),
});

/** `retryOn` absent means the mesh default's conditions. */
export const httpRetry = z.strictObject({
  attempts: nonNegativeInt.default(0),
  perTryTimeout: durationMs.optional(),
  retryOn: z.string().optional(),
  retryRemoteLocalities: z.boolean().optional(),
  retryIgnorePreviousHosts: z.boolean().optional(),
  backoff: durationMs.optional(),
});

/** `percentage` absent means every request. `percent` is the deprecated whole-number form. */
const faultDelay = z.strictObject({
  fixedDelay: durationMs.optional(),
  exponentialDelay: durationMs.optional(),
  percentage: percent.optional(),
  percent: z.int().min(0).max(100).optional(),
});
const faultAbort = z.strictObject({
  httpStatus: z.int().optional(),
  grpcStatus: z.string().optional(),
  http2Error: z.string().optional(),
  percentage: percent.optional(),
});
export const httpFault = z.strictObject({ delay: faultDelay.optional(), abort: faultAbort.optional() });

const httpMirror = z.strictObject({ destination, percentage: percent.optional() });

const corsPolicy = z.strictObject({
  allowOrigins: z.array(stringMatch).default([]),
  allowOrigin: z.array(z.string()).default([]),
  allowMethods: z.array(z.string()).default([]),
  allowHeaders: z.array(z.string()).default([]),
  exposeHeaders: z.array(z.string()).default([]),
  maxAge: durationMs.optional(),
  allowCredentials: z.boolean().optional(),
  unmatchedPreflights: z.enum(["UNSPECIFIED", "FORWARD", "IGNORE"]).optional(),
});

export const httpRoute = z.strictObject({
  name: z.string().optional(),
  match: z.array(httpMatch).default([]),
  route: z.array(httpRouteDestination).default([]),
  redirect: redirect.optional(),
  directResponse: directResponse.optional(),
  delegate: z.strictObject({ name: z.string().optional(), namespace: z.string().optional() }).optional(),
  rewrite: rewrite.optional(),
  timeout: durationMs.optional(),
  retries: httpRetry.optional(),
  fault: httpFault.optional(),
  mirror: destination.optional(),
  mirrors: z.array(httpMirror).default([]),
  mirrorPercent: uint32.optional(),
  mirrorPercentage: percent.optional(),
  corsPolicy: corsPolicy.optional(),
  headers: headers.optional(),
  /** Of Istio's first version, which had to be told; WebSockets pass by themselves. */
  websocketUpgrade: z.boolean().optional(),
});

const l4Destination = z.strictObject({ destination, weight: nonNegativeInt.default(0) });
const tlsRoute = z.strictObject({
  match: z
    .array(
      z.strictObject({
        sniHosts: z.array(z.string()).min(1),
        destinationSubnets: z.array(z.string()).default([]),
        port: portNumber.optional(),
        sourceLabels: stringMap.default({}),
        sourceNamespace: z.string().optional(),
        gateways: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  route: z.array(l4Destination).default([]),
});
const tcpRoute = z.strictObject({
  match: z
    .array(
      z.strictObject({
        destinationSubnets: z.array(z.string()).default([]),
        port: portNumber.optional(),
        sourceSubnet: z.string().optional(),
        sourceLabels: stringMap.default({}),
        sourceNamespace: z.string().optional(),
        gateways: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  route: z.array(l4Destination).default([]),
});

export const virtualServiceSpec = z.strictObject({
  hosts: z.array(z.string()).default([]),
  /** Empty means `["mesh"]`. */
  gateways: z.array(z.string()).default([]),
  http: z.array(httpRoute).default([]),
  tls: z.array(tlsRoute).default([]),
  tcp: z.array(tcpRoute).default([]),
  exportTo: z.array(z.string()).default([]),
});

export type VirtualServiceSpec = z.output<typeof virtualServiceSpec>;
export type HttpRoute = z.output<typeof httpRoute>;
export type HttpMatch = z.output<typeof httpMatch>;
export type HttpRouteDestination = z.output<typeof httpRouteDestination>;
export type Destination = z.output<typeof destination>;
export type HttpRetry = z.output<typeof httpRetry>;
export type HttpFault = z.output<typeof httpFault>;
