// Telemetry: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, telemetry.istio.io/v1 Telemetry.
import { z } from "zod";
import { durationMs } from "./fields.ts";
import { policyTarget } from "./policy-target.ts";

const mode = z.enum(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]);
const providers = z.array(z.strictObject({ name: z.string().default("") })).default([]);

/** A tag has one of the four. */
const customTag = z.strictObject({
  literal: z.strictObject({ value: z.string().default("") }).optional(),
  environment: z.strictObject({ name: z.string().default(""), defaultValue: z.string().optional() }).optional(),
  header: z.strictObject({ name: z.string().default(""), defaultValue: z.string().optional() }).optional(),
  formatter: z.strictObject({ value: z.string().default("") }).optional(),
});

const tracing = z.strictObject({
  match: z.strictObject({ mode: mode.optional() }).optional(),
  providers,
  randomSamplingPercentage: z.number().nullish(),
  disableSpanReporting: z.boolean().nullish(),
  customTags: z.record(z.string(), customTag).default({}),
  useRequestIdForTraceSampling: z.boolean().nullish(),
  enableIstioTags: z.boolean().nullish(),
  disableContextPropagation: z.boolean().nullish(),
});

const METRICS = [
  "ALL_METRICS",
  "REQUEST_COUNT",
  "REQUEST_DURATION",
  "REQUEST_SIZE",
  "RESPONSE_SIZE",
  "TCP_OPENED_CONNECTIONS",
  "TCP_CLOSED_CONNECTIONS",
  "TCP_SENT_BYTES",
  "TCP_RECEIVED_BYTES",
  "GRPC_REQUEST_MESSAGES",
  "GRPC_RESPONSE_MESSAGES",
] as const;

const metricsOverride = z.strictObject({
  match: z.strictObject({ metric: z.enum(METRICS).optional(), customMetric: z.string().optional(), mode: mode.optional() }).optional(),
  disabled: z.boolean().nullish(),
  tagOverrides: z.record(z.string(), z.strictObject({ operation: z.enum(["UPSERT", "REMOVE"]).optional(), value: z.string().optional() })).default({}),
});

const metrics = z.strictObject({ providers, overrides: z.array(metricsOverride).default([]), reportingInterval: durationMs.optional() });

const accessLogging = z.strictObject({
  match: z.strictObject({ mode: mode.optional() }).optional(),
  providers,
  disabled: z.boolean().nullish(),
  /** A CEL expression. */
  filter: z.strictObject({ expression: z.string().optional() }).optional(),
});

export const telemetrySpec = z.strictObject({
  ...policyTarget,
  tracing: z.array(tracing).default([]),
  metrics: z.array(metrics).default([]),
  accessLogging: z.array(accessLogging).default([]),
});

export type TelemetrySpec = z.output<typeof telemetrySpec>;
