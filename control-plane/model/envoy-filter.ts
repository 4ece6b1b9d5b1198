// EnvoyFilter: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1alpha3 EnvoyFilter.
import { z } from "zod";
import { stringMap, uint32 } from "./fields.ts";
import { targetReference } from "./policy-target.ts";

const text = z.string().optional();
const subFilter = z.strictObject({ name: text }).optional();
const filter = z.strictObject({ name: text, subFilter }).optional();

const listenerMatch = z.strictObject({
  portNumber: uint32.optional(),
  portName: text,
  filterChain: z
    .strictObject({ name: text, sni: text, transportProtocol: text, applicationProtocols: text, filter, destinationPort: uint32.optional() })
    .optional(),
  listenerFilter: text,
  name: text,
});

const routeConfigurationMatch = z.strictObject({
  portNumber: uint32.optional(),
  portName: text,
  gateway: text,
  vhost: z
    .strictObject({
      name: text,
      domainName: text,
      route: z.strictObject({ name: text, action: z.enum(["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]).optional() }).optional(),
    })
    .optional(),
  name: text,
});

const match = z.strictObject({
  context: z.enum(["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]).optional(),
  proxy: z.strictObject({ proxyVersion: text, metadata: stringMap.default({}) }).optional(),
  listener: listenerMatch.optional(),
  routeConfiguration: routeConfigurationMatch.optional(),
  cluster: z.strictObject({ portNumber: uint32.optional(), service: text, subset: text, name: text }).optional(),
  waypoint: z.strictObject({ filter, portNumber: uint32.optional(), route: z.strictObject({ name: text }).optional() }).optional(),
});

const patch = z.strictObject({
  operation: z
    .enum(["INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE", "MERGE_AND_REPLACE_LIST"])
    .default("INVALID"),
  /** A part of an Envoy resource, in JSON. */
  value: z.record(z.string(), z.unknown()).optional(),
  filterClass: z.enum(["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]).optional(),
});

const configPatch = z.strictObject({
  applyTo: z
    .enum([
      "INVALID",
      "LISTENER",
      "FILTER_CHAIN",
      "NETWORK_FILTER",
      "HTTP_FILTER",
      "ROUTE_CONFIGURATION",
      "VIRTUAL_HOST",
      "HTTP_ROUTE",
      "CLUSTER",
      "EXTENSION_CONFIG",
      "BOOTSTRAP",
      "LISTENER_FILTER",
    ])
    .default("INVALID"),
  match: match.optional(),
  patch: patch.optional(),
});

export const envoyFilterSpec = z.strictObject({
  workloadSelector: z.strictObject({ labels: stringMap.default({}) }).optional(),
  targetRefs: z.array(targetReference).default([]),
  configPatches: z.array(configPatch).default([]),
  priority: z.int().min(-2_147_483_648).max(2_147_483_647).optional(),
});

export type EnvoyFilterSpec = z.output<typeof envoyFilterSpec>;
export type EnvoyConfigPatch = z.output<typeof configPatch>;
