// MeshConfig: the mesh-wide settings, one document named `default`, `apiVersion: weft.mesh/v1alpha1`.
import { z } from "zod";
import { localityLbSetting } from "./destination-rule.ts";

export const meshConfigSpec = z.strictObject({
  /** `weft`: safe defaults (retries only for what is safe to repeat, locality from one endpoint); `istio`: Istio's own. */
  defaults: z.enum(["weft", "istio"]).default("weft"),
  /** `filter`: the wasm filter picks on routes with a choice; `native`: plain weights are left to Envoy. */
  decisions: z.enum(["filter", "native"]).default("filter"),
  outboundTrafficPolicy: z.strictObject({ mode: z.enum(["ALLOW_ANY", "REGISTRY_ONLY"]).default("ALLOW_ANY") }).default({ mode: "ALLOW_ANY" }),
  localityLbSetting: localityLbSetting.optional(),
  trustDomain: z.string().default("cluster.local"),
});

export type MeshConfigSpec = z.output<typeof meshConfigSpec>;
