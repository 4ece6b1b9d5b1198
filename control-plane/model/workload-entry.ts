// WorkloadEntry and WorkloadGroup: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 WorkloadEntry and WorkloadGroup.
import { z } from "zod";
import { nonNegativeInt, portNumber, stringMap, uint32 } from "./fields.ts";

/** Something that serves and is no pod. A ServiceEntry may also write such endpoints inline. */
export const workloadEntrySpec = z.strictObject({
  /** An IP address, a DNS name (for services that are found by DNS), or `unix:///path`. */
  address: z.string().optional(),
  /** Port names of a service to the numbers that this one listens on. */
  ports: z.record(z.string(), portNumber).default({}),
  labels: stringMap.default({}),
  network: z.string().optional(),
  /** `region/zone/subzone`. */
  locality: z.string().optional(),
  weight: uint32.optional(),
  serviceAccount: z.string().optional(),
});

const httpHeaders = z.array(z.strictObject({ name: z.string().optional(), value: z.string().optional() })).default([]);

const probe = z.strictObject({
  initialDelaySeconds: nonNegativeInt.optional(),
  timeoutSeconds: nonNegativeInt.optional(),
  periodSeconds: nonNegativeInt.optional(),
  successThreshold: nonNegativeInt.optional(),
  failureThreshold: nonNegativeInt.optional(),
  httpGet: z
    .strictObject({ path: z.string().optional(), port: portNumber, host: z.string().optional(), scheme: z.string().optional(), httpHeaders })
    .optional(),
  tcpSocket: z.strictObject({ host: z.string().optional(), port: portNumber }).optional(),
  exec: z.strictObject({ command: z.array(z.string()).default([]) }).optional(),
  grpc: z.strictObject({ service: z.string().optional(), port: portNumber.optional() }).optional(),
});

/** What WorkloadEntries that register themselves look like. */
export const workloadGroupSpec = z.strictObject({
  metadata: z.strictObject({ labels: stringMap.default({}), annotations: stringMap.default({}) }).optional(),
  template: workloadEntrySpec,
  probe: probe.optional(),
});

export type WorkloadEntrySpec = z.output<typeof workloadEntrySpec>;
export type WorkloadGroupSpec = z.output<typeof workloadGroupSpec>;
