// Sidecar: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 Sidecar.
import { z } from "zod";
import { connectionPool } from "./destination-rule.ts";
import { portNumber, stringMap } from "./fields.ts";
import { serverTls } from "./gateway.ts";
import { destination } from "./virtual-service.ts";

/** `number` 0 stands for none, which is right for a listener that binds to a Unix socket. `targetPort` is deprecated and means nothing any more. */
const sidecarPort = z.strictObject({
  number: z.int().min(0).max(65_535).default(0),
  protocol: z.string().optional(),
  name: z.string().optional(),
  targetPort: portNumber.optional(),
});

const captureMode = z.enum(["DEFAULT", "IPTABLES", "NONE"]).optional();

const ingressListener = z.strictObject({
  port: sidecarPort,
  bind: z.string().optional(),
  captureMode,
  /** `127.0.0.1:8080`, `0.0.0.0:8080` (the workload's address) or `unix:///path`; absent: the port itself. */
  defaultEndpoint: z.string().optional(),
  tls: serverTls.optional(),
  connectionPool: connectionPool.optional(),
});

const egressListener = z.strictObject({
  /** Absent: all ports of the hosts that no other listener names. */
  port: sidecarPort.optional(),
  bind: z.string().optional(),
  captureMode,
  /** `namespace/host`, where the namespace may be `.`, `*`, or begin with `~` to leave out. */
  hosts: z.array(z.string()).default([]),
});

export const sidecarSpec = z.strictObject({
  workloadSelector: z.strictObject({ labels: stringMap.default({}) }).optional(),
  ingress: z.array(ingressListener).default([]),
  egress: z.array(egressListener).default([]),
  inboundConnectionPool: connectionPool.optional(),
  outboundTrafficPolicy: z
    .strictObject({ mode: z.enum(["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]).optional(), egressProxy: destination.optional() })
    .optional(),
});

export type SidecarSpec = z.output<typeof sidecarSpec>;
export type SidecarIngress = z.output<typeof ingressListener>;
export type SidecarEgress = z.output<typeof egressListener>;
