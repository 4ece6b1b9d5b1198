// What a policy applies to: workloads by their labels, or a resource by its name. Shared by the kinds of security, telemetry and extensions.
// Source: Istio reference, type/v1beta1 WorkloadSelector and PolicyTargetReference.
import { z } from "zod";
import { stringMap } from "./fields.ts";

export const workloadSelector = z.strictObject({ matchLabels: stringMap.default({}) });

export const targetReference = z.strictObject({
  group: z.string().default(""),
  kind: z.string().default(""),
  name: z.string().default(""),
  namespace: z.string().default(""),
});

/** At most one of them is set; none of them: every workload of the namespace, or of the mesh in the root namespace. */
export const policyTarget = {
  selector: workloadSelector.optional(),
  targetRef: targetReference.optional(),
  targetRefs: z.array(targetReference).default([]),
};

export type WorkloadSelector = z.output<typeof workloadSelector>;
export type TargetReference = z.output<typeof targetReference>;
