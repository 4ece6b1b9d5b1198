// PeerAuthentication: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, security.istio.io/v1 PeerAuthentication.
import { z } from "zod";
import { workloadSelector } from "./policy-target.ts";

/** UNSET takes the mode of what is less specific: namespace, then mesh, then PERMISSIVE. */
const mutualTls = z.strictObject({ mode: z.enum(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]).default("UNSET") });

export const peerAuthenticationSpec = z.strictObject({
  selector: workloadSelector.optional(),
  mtls: mutualTls.optional(),
  /** By the workload's port, as text. */
  portLevelMtls: z.record(z.string(), mutualTls).optional(),
});

export type PeerAuthenticationSpec = z.output<typeof peerAuthenticationSpec>;
export type MutualTlsMode = z.output<typeof mutualTls>["mode"];
