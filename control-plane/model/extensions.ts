// WasmPlugin and TrafficExtension: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, extensions.istio.io/v1alpha1 WasmPlugin and TrafficExtension.
import { z } from "zod";
import { policyTarget, targetReference, workloadSelector } from "./policy-target.ts";

const int32 = z.int().min(-2_147_483_648).max(2_147_483_647);

const environment = z.strictObject({ name: z.string().default(""), valueFrom: z.enum(["INLINE", "HOST"]).optional(), value: z.string().optional() });

/** What a plugin is and how it is fetched and run. */
const wasm = {
  url: z.string().default(""),
  sha256: z.string().optional(),
  imagePullPolicy: z.enum(["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]).optional(),
  imagePullSecret: z.string().optional(),
  verificationKey: z.string().optional(),
  pluginConfig: z.record(z.string(), z.unknown()).optional(),
  pluginName: z.string().optional(),
  failStrategy: z.enum(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]).optional(),
  vmConfig: z.strictObject({ env: z.array(environment).default([]) }).optional(),
  type: z.enum(["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]).optional(),
};

const trafficMatch = z.strictObject({
  mode: z.enum(["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]).optional(),
  ports: z.array(z.strictObject({ number: z.int().default(0) })).default([]),
});

export const wasmPluginSpec = z.strictObject({
  ...policyTarget,
  ...wasm,
  phase: z.enum(["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]).optional(),
  priority: int32.nullish(),
  match: z.array(trafficMatch).default([]),
});

const wasmConfig = z.strictObject(wasm);

export const trafficExtensionSpec = z.strictObject({
  selector: workloadSelector.optional(),
  targetRefs: z.array(targetReference).default([]),
  phase: z.enum(["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]).optional(),
  priority: int32.nullish(),
  match: z.array(trafficMatch).default([]),
  /** Exactly one of the two. */
  wasm: wasmConfig.optional(),
  lua: z.strictObject({ inlineCode: z.string().default("") }).optional(),
});

export type WasmPluginSpec = z.output<typeof wasmPluginSpec>;
export type WasmConfig = z.output<typeof wasmConfig>;
export type TrafficExtensionSpec = z.output<typeof trafficExtensionSpec>;
