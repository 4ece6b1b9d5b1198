// RequestAuthentication: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, security.istio.io/v1 RequestAuthentication.
import { z } from "zod";
import { durationMs } from "./fields.ts";
import { policyTarget } from "./policy-target.ts";

const strings = z.array(z.string()).default([]);

const jwtRule = z.strictObject({
  issuer: z.string().optional(),
  audiences: strings,
  jwksUri: z.string().optional(),
  /** The key set itself, as JSON. */
  jwks: z.string().optional(),
  fromHeaders: z.array(z.strictObject({ name: z.string().default(""), prefix: z.string().optional() })).default([]),
  fromParams: strings,
  fromCookies: strings,
  outputPayloadToHeader: z.string().optional(),
  forwardOriginalToken: z.boolean().optional(),
  outputClaimToHeaders: z.array(z.strictObject({ header: z.string().default(""), claim: z.string().default("") })).default([]),
  /** Of a request for the key set. */
  timeout: durationMs.optional(),
  spaceDelimitedClaims: strings,
  /** Not in Istio's API, which a cluster drops in silence, but in documents that Istio calls valid. */
  presence: z.string().optional(),
});

export const requestAuthenticationSpec = z.strictObject({ ...policyTarget, jwtRules: z.array(jwtRule).default([]) });

export type RequestAuthenticationSpec = z.output<typeof requestAuthenticationSpec>;
export type JwtRule = z.output<typeof jwtRule>;
