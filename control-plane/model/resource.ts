// The typed resources of a mesh: what source/ and model/ hand to validate/ and mesh/.

import type { AuthorizationPolicySpec } from "./authorization-policy.ts";
import type { DestinationRuleSpec } from "./destination-rule.ts";
import type { Origin } from "./diagnostic.ts";
import type { EnvoyFilterSpec } from "./envoy-filter.ts";
import type { TrafficExtensionSpec, WasmPluginSpec } from "./extensions.ts";
import type { GatewaySpec } from "./gateway.ts";
import type { DeploymentSpec, ServiceSpec } from "./kubernetes.ts";
import type { LocalRunSpec } from "./local-run.ts";
import type { MeshConfigSpec } from "./mesh-config.ts";
import type { PeerAuthenticationSpec } from "./peer-authentication.ts";
import type { ProxyConfigSpec } from "./proxy-config.ts";
import type { RequestAuthenticationSpec } from "./request-authentication.ts";
import type { SecretSpec } from "./secret.ts";
import type { ServiceEntrySpec } from "./service-entry.ts";
import type { SidecarSpec } from "./sidecar.ts";
import type { TelemetrySpec } from "./telemetry.ts";
import type { VirtualServiceSpec } from "./virtual-service.ts";
import type { WorkloadEntrySpec, WorkloadGroupSpec } from "./workload-entry.ts";

/** A path inside a resource, from its root: `["spec", "http", 0, "route", 1, "weight"]`. */
export type FieldPath = readonly (string | number)[];

/** A resource whose fields were checked against its kind's schema. Names are unique per (kind, namespace, name) within a mesh. */
export interface Resource<Kind extends string, Spec> {
  readonly kind: Kind;
  readonly name: string;
  /** `default` where the document says none; `""` for cluster-scoped kinds (Namespace). */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: Spec;
  /** Where the document begins. */
  readonly origin: Origin;
  /** Where a field stands, or the nearest parent that is written down. */
  readonly locate: (path: FieldPath) => Origin;
  /** Hash of the document's text: equal digests mean equal resources. */
  readonly digest: string;
}

export type VirtualService = Resource<"VirtualService", VirtualServiceSpec>;
export type DestinationRule = Resource<"DestinationRule", DestinationRuleSpec>;
export type Gateway = Resource<"Gateway", GatewaySpec>;
export type ServiceEntry = Resource<"ServiceEntry", ServiceEntrySpec>;
export type WorkloadEntry = Resource<"WorkloadEntry", WorkloadEntrySpec>;
export type WorkloadGroup = Resource<"WorkloadGroup", WorkloadGroupSpec>;
export type Sidecar = Resource<"Sidecar", SidecarSpec>;
export type AuthorizationPolicy = Resource<"AuthorizationPolicy", AuthorizationPolicySpec>;
export type PeerAuthentication = Resource<"PeerAuthentication", PeerAuthenticationSpec>;
export type RequestAuthentication = Resource<"RequestAuthentication", RequestAuthenticationSpec>;
export type EnvoyFilter = Resource<"EnvoyFilter", EnvoyFilterSpec>;
export type ProxyConfig = Resource<"ProxyConfig", ProxyConfigSpec>;
export type Telemetry = Resource<"Telemetry", TelemetrySpec>;
export type WasmPlugin = Resource<"WasmPlugin", WasmPluginSpec>;
export type TrafficExtension = Resource<"TrafficExtension", TrafficExtensionSpec>;
export type Secret = Resource<"Secret", SecretSpec>;
export type KubernetesService = Resource<"Service", ServiceSpec>;
export type Deployment = Resource<"Deployment", DeploymentSpec>;
export type Namespace = Resource<"Namespace", Record<string, never>>;
export type MeshConfig = Resource<"MeshConfig", MeshConfigSpec>;
export type LocalRun = Resource<"LocalRun", LocalRunSpec>;

export type AnyResource =
  | VirtualService
  | DestinationRule
  | Gateway
  | ServiceEntry
  | WorkloadEntry
  | WorkloadGroup
  | Sidecar
  | AuthorizationPolicy
  | PeerAuthentication
  | RequestAuthentication
  | EnvoyFilter
  | ProxyConfig
  | Telemetry
  | WasmPlugin
  | TrafficExtension
  | Secret
  | KubernetesService
  | Deployment
  | Namespace
  | MeshConfig
  | LocalRun;

/** All resources of a mesh, sorted by (namespace, name) within each kind, so that equal input gives equal output whatever the file order. */
export interface Resources {
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: readonly Gateway[];
  readonly serviceEntries: readonly ServiceEntry[];
  readonly workloadEntries: readonly WorkloadEntry[];
  readonly workloadGroups: readonly WorkloadGroup[];
  readonly sidecars: readonly Sidecar[];
  readonly authorizationPolicies: readonly AuthorizationPolicy[];
  readonly peerAuthentications: readonly PeerAuthentication[];
  readonly requestAuthentications: readonly RequestAuthentication[];
  readonly envoyFilters: readonly EnvoyFilter[];
  readonly proxyConfigs: readonly ProxyConfig[];
  readonly telemetries: readonly Telemetry[];
  readonly wasmPlugins: readonly WasmPlugin[];
  readonly trafficExtensions: readonly TrafficExtension[];
  readonly secrets: readonly Secret[];
  readonly services: readonly KubernetesService[];
  readonly deployments: readonly Deployment[];
  readonly namespaces: readonly Namespace[];
  /** At most one counts: the first by file order; others get a diagnostic. */
  readonly meshConfigs: readonly MeshConfig[];
  readonly localRuns: readonly LocalRun[];
}

/** `VirtualService default/reviews`, as it stands in diagnostics. */
export function resourceLabel(resource: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return resource.namespace === "" ? `${resource.kind} ${resource.name}` : `${resource.kind} ${resource.namespace}/${resource.name}`;
}
