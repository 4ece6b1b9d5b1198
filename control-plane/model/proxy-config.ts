// ProxyConfig: every field of Istio's API (1.32), typed. Source: Istio reference, networking.istio.io/v1beta1 ProxyConfig.
import { z } from "zod";
import { stringMap } from "./fields.ts";
import { workloadSelector } from "./policy-target.ts";

export const proxyConfigSpec = z.strictObject({
  selector: workloadSelector.optional(),
  concurrency: z.int().nullish(),
  environmentVariables: stringMap.default({}),
  image: z.strictObject({ imageType: z.string().optional() }).optional(),
});

export type ProxyConfigSpec = z.output<typeof proxyConfigSpec>;
