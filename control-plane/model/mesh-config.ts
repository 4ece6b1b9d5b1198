// MeshConfig: the mesh-wide settings, one document named `default`, `apiVersion: weft.mesh/v1alpha1`.
import { z } from "zod";
import { localityLbSetting } from "./destination-rule.ts";
import { extAuthzGrpc, extAuthzHttp } from "./ext-authz-provider.ts";

export const meshConfigSpec = z.strictObject({
  /** `weft`: safe defaults (retries only for what is safe to repeat, locality from one endpoint); `istio`: Istio's own. */
  defaults: z.enum(["weft", "istio"]).default("weft"),
  /** `filter`: the wasm filter picks on routes with a choice; `native`: plain weights are left to Envoy. */
  decisions: z.enum(["filter", "native"]).default("filter"),
  /** `auto`: a proxy learns of the hosts that it calls; `all`: of every host that it may call. */
  scope: z.enum(["auto", "all"]).default("auto"),
  outboundTrafficPolicy: z.strictObject({ mode: z.enum(["ALLOW_ANY", "REGISTRY_ONLY"]).default("ALLOW_ANY") }).default({ mode: "ALLOW_ANY" }),
  localityLbSetting: localityLbSetting.optional(),
  /** What proxies count under Istio's names: `all`; `requests` without the bytes of HTTP, which cost as much again; or `none`. */
  metrics: z.enum(["all", "requests", "none"]).default("all"),
  trustDomain: z.string().default("cluster.local"),
  /** Former or foreign trust domains whose identities count as ours. */
  trustDomainAliases: z.array(z.string()).default([]),
  /** Mutual TLS between sidecars wherever both sides have one and no DestinationRule says otherwise. */
  enableAutoMtls: z.boolean().default(true),
  /** Authorizers, tracers and access logs outside the mesh, by the names that policies refer to. Each has one more field, which says what it is. */
  extensionProviders: z
    .array(z.looseObject({ name: z.string().min(1), envoyExtAuthzHttp: extAuthzHttp.optional(), envoyExtAuthzGrpc: extAuthzGrpc.optional() }))
    .default([]),
  /** What Telemetry uses where it names no provider. */
  defaultProviders: z
    .strictObject({ tracing: z.array(z.string()).default([]), metrics: z.array(z.string()).default([]), accessLogging: z.array(z.string()).default([]) })
    .optional(),
});

export type MeshConfigSpec = z.output<typeof meshConfigSpec>;
