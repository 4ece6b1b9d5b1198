// Routes that Istio makes of a VirtualService, recorded from its unit tests, against Weft's under `defaults: istio`: what Envoy would do with a request, in
// which order. Names, metadata and what other filters than Weft's would do are not compared.
import { create, createRegistry, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { CorsPolicySchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { PreviousHostsPredicateSchema } from "../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { PreviousPrioritiesConfigSchema } from "../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
import { buildMesh } from "../mesh/build.ts";
import { gatewayKey, MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { AnyResource, VirtualService } from "../model/resource.ts";
import { parseFile } from "../source/parse-file.ts";
import { CORS_FILTER } from "../translate/cors.ts";
import { FAULT_FILTER } from "../translate/faults.ts";
import { routesOf } from "../translate/routes.ts";
import { resourcesByKind } from "../validate/effective.ts";
import { validate } from "../validate/validate.ts";
import type { Verdict } from "./verdict.ts";

const recorded = z.object({
  id: z.string(),
  name: z.string(),
  namespace: z.string().default(""),
  annotations: z.record(z.string(), z.string()).nullish(),
  spec: z.unknown(),
  port: z.number(),
  gateways: z.array(z.string()).nullish(),
  proxyType: z.string(),
  proxyLabels: z.record(z.string(), z.string()).nullish(),
  proxyNamespace: z.string(),
  routes: z.array(z.json()).nullish(),
  error: z.string().nullish(),
});
type Recorded = z.output<typeof recorded>;

/** Compares the lines of `routes.jsonl`. */
export function compareRoutes(lines: readonly unknown[]): readonly Verdict[] {
  return lines.map((value) => {
    const line = recorded.parse(value);
    const istio = (line.routes ?? []).map(canonicalJson);
    const weft = weftRoutes(line);
    const expected = line.error ? "refused" : JSON.stringify(istio);
    const actual = typeof weft === "string" ? "refused" : JSON.stringify(weft);
    const agreed = expected === actual;
    return { id: line.id, agreed, reason: agreed ? "" : `Istio ${line.error ?? expected}, Weft ${typeof weft === "string" ? weft : actual}` };
  });
}

/** Weft's routes in canonical form, or why it refuses the VirtualService. */
function weftRoutes(line: Recorded): readonly JsonValue[] | string {
  const documents = [virtualServiceOf(line), MESH_CONFIG, ...servicesOf(line)].map((document) => JSON.stringify(document)).join("\n---\n");
  const parsed = parseFile("line.yaml", documents);
  const problems = [...parsed.diagnostics, ...validate(parsed.resources)].filter(
    ({ severity, resource }) => severity === "error" && resource?.startsWith("VirtualService"),
  );
  const virtualService = parsed.resources.find((resource): resource is VirtualService => resource.kind === "VirtualService");
  // Some of Istio's inputs have no hosts, which its validation would refuse and its translation does not look at.
  if (virtualService === undefined) return problems.map(({ what }) => what).join("; ") || "no VirtualService";
  if (line.error && problems.length > 0) return problems.map(({ what }) => what).join("; ");
  const proxy = proxyOf(line);
  const resources = resourcesByKind(parsed.resources.filter((resource: AnyResource) => resource.kind !== "LocalRun"));
  const mesh = buildMesh({ resources, instances: [], proxies: [proxy], domain: "cluster.local" });
  const gateways = (line.gateways ?? []).map((name) => (name === MESH_GATEWAY ? name : gatewayKey(name, virtualService.namespace)));
  const source = { namespace: line.proxyNamespace, labels: line.proxyLabels ?? {}, gateways, port: line.port };
  const { routes } = routesOf({ mesh, proxy, source }, [virtualService]);
  return routes.map((route) => canonicalJson(toJson(RouteSchema, create(RouteSchema, route), { registry: REGISTRY })));
}

const MESH_CONFIG = { apiVersion: "weft.mesh/v1alpha1", kind: "MeshConfig", metadata: { name: "default" }, spec: { defaults: "istio", decisions: "native" } };

function virtualServiceOf({ name, namespace, annotations, spec }: Recorded): object {
  const metadata = { name, ...(namespace === "" ? {} : { namespace }), annotations: annotations ?? {} };
  return { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata, spec };
}

function proxyOf({ proxyType, proxyLabels, proxyNamespace }: Recorded): Proxy {
  return {
    id: "proxy",
    kind: proxyType === "router" ? "gateway" : "sidecar",
    namespace: proxyNamespace,
    labels: proxyLabels ?? {},
    workload: "proxy",
    serviceAccount: "default",
    locality: { region: "", zone: "", subzone: "" },
    inbound: [],
    outbound: [],
    gatewayPorts: [],
  };
}

const hashed = z.object({
  route: z.object({ cluster: z.string(), hashPolicy: z.array(z.looseObject({ cookie: z.looseObject({ name: z.string() }).optional() })) }),
});

/**
 * A line holds the VirtualService alone, and not the DestinationRules that its test had. Where the recorded routes show a hash policy there was a rule that
 * asked for it; it is put back, so that what is compared is where the policy stands and what it does to retries.
 */
function servicesOf({ routes }: Recorded): readonly object[] {
  return (routes ?? []).flatMap((route, index) => {
    const found = hashed.safeParse(route);
    const cookie = found.data?.route.hashPolicy[0]?.cookie?.name;
    const [, port, subset = "", host] = /^outbound\|(\d+)\|([^|]*)\|(.+)$/.exec(found.data?.route.cluster ?? "") ?? [];
    if (cookie === undefined || host === undefined) return [];
    const trafficPolicy = { loadBalancer: { consistentHash: { httpCookie: { name: cookie } } } };
    const subsets = subset === "" ? [] : [{ name: subset, labels: {}, trafficPolicy }];
    const common = { apiVersion: "networking.istio.io/v1", metadata: { name: `line-${index}` } };
    return [
      { ...common, kind: "ServiceEntry", spec: { hosts: [host], ports: [{ number: Number(port), name: "http", protocol: "HTTP" }], resolution: "NONE" } },
      { ...common, kind: "DestinationRule", spec: { host, ...(subset === "" ? { trafficPolicy } : { subsets }) } },
    ];
  });
}

const REGISTRY = createRegistry(CorsPolicySchema, HTTPFaultSchema, PreviousHostsPredicateSchema, PreviousPrioritiesConfigSchema);
/** Filters that VirtualServices configure; others have their settings from elsewhere. */
const COMPARED_FILTERS: ReadonlySet<string> = new Set([CORS_FILTER, FAULT_FILTER]);

/** What a route does, in one form: without names, with defaults left out, and with shares in place of weights. */
function canonicalJson(value: JsonValue): JsonValue {
  const { name: _name, metadata: _metadata, decorator: _decorator, typedPerFilterConfig, ...rest } = objectOf(value);
  const filters = Object.entries(objectOf(typedPerFilterConfig ?? {})).filter(([filter]) => COMPARED_FILTERS.has(filter));
  const typed = filters.length === 0 ? {} : { typedPerFilterConfig: Object.fromEntries(filters) };
  const read = objectOf(toJson(RouteSchema, fromJson(RouteSchema, { ...rest, ...typed }, { registry: REGISTRY }), { registry: REGISTRY }));
  return sorted({
    ...read,
    ...(read.match === undefined ? {} : { match: canonicalMatch(objectOf(read.match)) }),
    ...(read.route === undefined ? {} : { route: canonicalAction(objectOf(read.route)) }),
  });
}

/** Conditions are ANDed, so that their order says nothing. */
function canonicalMatch({ caseSensitive, ...match }: JsonObject): JsonObject {
  const lists = Object.entries(match).map(([key, value]): [string, JsonValue] => [key, Array.isArray(value) ? sortedTexts(value) : value]);
  return { ...Object.fromEntries(lists), ...(caseSensitive === false ? { caseSensitive } : {}) };
}

function canonicalAction({ maxGrpcTimeout, maxStreamDuration, weightedClusters, retryPolicy, appendXForwardedHost, ...action }: JsonObject): JsonObject {
  const grpcTimeout = objectOf(maxStreamDuration ?? {}).grpcTimeoutHeaderMax ?? maxGrpcTimeout;
  const rewritesHost = Object.keys(action).some((key) => key.startsWith("hostRewrite"));
  return {
    ...action,
    // An older and a newer field for the same limit.
    ...(grpcTimeout === undefined ? {} : { grpcTimeout }),
    // It does something only where the host is rewritten.
    ...(appendXForwardedHost === undefined || !rewritesHost ? {} : { appendXForwardedHost }),
    ...(weightedClusters === undefined ? {} : { weightedClusters: shares(objectOf(weightedClusters)) }),
    ...(retryPolicy === undefined ? {} : { retryPolicy: canonicalRetries(objectOf(retryPolicy)) }),
  };
}

function shares(weighted: JsonObject): JsonValue {
  const clusters = Array.isArray(weighted.clusters) ? weighted.clusters.map(objectOf) : [];
  const total = clusters.reduce((sum, { weight }) => sum + Number(weight ?? 0), 0);
  return clusters.map(({ weight, ...cluster }) => ({ ...cluster, share: Math.round((Number(weight ?? 0) / total) * 1e6) / 1e6 }));
}

function canonicalRetries({ retryOn, ...policy }: JsonObject): JsonObject {
  return {
    ...policy,
    retryOn: String(retryOn ?? "")
      .split(",")
      .sort(),
  };
}

function objectOf(value: JsonValue): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`expected an object, not ${JSON.stringify(value)}`);
  return value;
}

function sortedTexts(values: readonly JsonValue[]): JsonValue[] {
  return values.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** The same value with the keys of all objects in order. */
function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
