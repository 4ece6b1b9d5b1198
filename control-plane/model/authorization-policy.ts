// AuthorizationPolicy: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, security.istio.io/v1 AuthorizationPolicy.
import { z } from "zod";
import { policyTarget } from "./policy-target.ts";

const strings = z.array(z.string()).default([]);

/** All that is set must hold; of each list one entry. `not…`: none of the list's entries may hold. */
const source = z.strictObject({
  principals: strings,
  notPrincipals: strings,
  requestPrincipals: strings,
  notRequestPrincipals: strings,
  namespaces: strings,
  notNamespaces: strings,
  /** `serviceAccount` of the policy's own namespace, or `namespace/serviceAccount`. */
  serviceAccounts: strings,
  notServiceAccounts: strings,
  trustDomains: strings,
  notTrustDomains: strings,
  /** Of the connection's peer. */
  ipBlocks: strings,
  notIpBlocks: strings,
  /** Of the original client, by X-Forwarded-For or the PROXY protocol. */
  remoteIpBlocks: strings,
  notRemoteIpBlocks: strings,
});

const operation = z.strictObject({
  hosts: strings,
  notHosts: strings,
  ports: strings,
  notPorts: strings,
  methods: strings,
  notMethods: strings,
  paths: strings,
  notPaths: strings,
});

const condition = z.strictObject({ key: z.string().default(""), values: strings, notValues: strings });

/** No `from`, `to` or `when` at all matches every request. */
const rule = z.strictObject({
  from: z.array(z.strictObject({ source: source.optional() })).default([]),
  to: z.array(z.strictObject({ operation: operation.optional() })).default([]),
  when: z.array(condition).default([]),
});

export const authorizationPolicySpec = z.strictObject({
  ...policyTarget,
  action: z.enum(["ALLOW", "DENY", "AUDIT", "CUSTOM"]).default("ALLOW"),
  /** For CUSTOM alone. */
  provider: z.strictObject({ name: z.string().default("") }).optional(),
  /** None: an ALLOW policy lets nothing through. */
  rules: z.array(rule).default([]),
});

export type AuthorizationPolicySpec = z.output<typeof authorizationPolicySpec>;
export type AuthorizationRule = z.output<typeof rule>;
export type AuthorizationSource = z.output<typeof source>;
export type AuthorizationOperation = z.output<typeof operation>;
export type AuthorizationCondition = z.output<typeof condition>;
