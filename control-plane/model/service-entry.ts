// ServiceEntry: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 ServiceEntry.
import { z } from "zod";
import { portNumber, stringMap } from "./fields.ts";
import { workloadEntrySpec } from "./workload-entry.ts";

const servicePort = z.strictObject({
  number: portNumber,
  /** HTTP|HTTPS|GRPC|GRPC-WEB|HTTP2|MONGO|TCP|TLS; absent: what the name says. */
  protocol: z.string().optional(),
  name: z.string(),
  /** Where endpoints listen, if elsewhere than `number`. */
  targetPort: portNumber.optional(),
});

export const serviceEntrySpec = z.strictObject({
  hosts: z.array(z.string()).default([]),
  /** IP addresses or CIDR ranges that stand for the hosts. */
  addresses: z.array(z.string()).default([]),
  ports: z.array(servicePort).default([]),
  location: z.enum(["MESH_EXTERNAL", "MESH_INTERNAL"]).default("MESH_EXTERNAL"),
  resolution: z.enum(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]).default("NONE"),
  endpoints: z.array(workloadEntrySpec).default([]),
  workloadSelector: z.strictObject({ labels: stringMap.default({}) }).optional(),
  exportTo: z.array(z.string()).default([]),
  subjectAltNames: z.array(z.string()).default([]),
});

export type ServiceEntrySpec = z.output<typeof serviceEntrySpec>;
export type ServiceEntryPort = z.output<typeof servicePort>;
