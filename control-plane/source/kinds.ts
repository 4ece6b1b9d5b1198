// Which kinds a document may have, and what becomes of each: read by a schema, not built yet, or of no use to a mesh.
import { z } from "zod";
import { authorizationPolicySpec } from "../model/authorization-policy.ts";
import { destinationRuleSpec } from "../model/destination-rule.ts";
import { envoyFilterSpec } from "../model/envoy-filter.ts";
import { trafficExtensionSpec, wasmPluginSpec } from "../model/extensions.ts";
import { stringMap } from "../model/fields.ts";
import { gatewaySpec } from "../model/gateway.ts";
import { deploymentSpec, serviceSpec } from "../model/kubernetes.ts";
import { localRunSpec } from "../model/local-run.ts";
import { meshConfigSpec } from "../model/mesh-config.ts";
import { peerAuthenticationSpec } from "../model/peer-authentication.ts";
import { proxyConfigSpec } from "../model/proxy-config.ts";
import { requestAuthenticationSpec } from "../model/request-authentication.ts";
import type { AnyResource } from "../model/resource.ts";
import { secretFields, secretSpec } from "../model/secret.ts";
import { serviceEntrySpec } from "../model/service-entry.ts";
import { sidecarSpec } from "../model/sidecar.ts";
import { telemetrySpec } from "../model/telemetry.ts";
import { virtualServiceSpec } from "../model/virtual-service.ts";
import { workloadEntrySpec, workloadGroupSpec } from "../model/workload-entry.ts";

export type Kind = AnyResource["kind"];

/** A kind that Weft reads. */
export interface KnownKind {
  readonly kind: Kind;
  readonly group: string;
  /** The current one first. */
  readonly versions: readonly string[];
  readonly namespaced: boolean;
  /** Of the whole document. */
  readonly schema: z.ZodType<ReadDocument>;
}

/** What every schema gives. */
export interface ReadDocument {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: unknown;
}

/** What a name may look like is a rule of validate/: a resource with a wrong one is still worth checking. */
const name = z.string().min(1).max(253);
const namespace = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, { error: "a namespace has lower-case letters, digits and - only, and begins and ends with a letter or digit" });

const written = z.unknown().optional();
/** Kubernetes' ObjectMeta. What the API server writes may stand in a file that came out of a cluster. */
const metadata = z.strictObject({
  name,
  namespace: namespace.optional(),
  labels: stringMap.default({}),
  annotations: stringMap.default({}),
  generateName: written,
  uid: written,
  resourceVersion: written,
  generation: written,
  creationTimestamp: written,
  deletionTimestamp: written,
  deletionGracePeriodSeconds: written,
  ownerReferences: written,
  finalizers: written,
  managedFields: written,
  selfLink: written,
});

/** apiVersion and kind have chosen the schema. */
const strict = (spec: z.ZodType) => z.strictObject({ apiVersion: written, kind: written, metadata, spec, status: written });
const loose = (spec: z.ZodType) => z.looseObject({ apiVersion: written, kind: written, metadata, spec });

/** A document without a spec says what an empty one says: it applies its kind's defaults. */
const mayBeEmpty = (spec: z.ZodType) => strict(spec.prefault({}));
/** A Secret has no spec: its fields stand beside the metadata. */
const secretDocument = z
  .looseObject({ apiVersion: written, kind: written, metadata, ...secretFields })
  .transform((document) => ({ metadata: document.metadata, spec: secretSpec(document) }));

const ISTIO_VERSIONS = ["v1", "v1beta1", "v1alpha3"];

/** Every kind that Weft reads. */
export const KNOWN_KINDS: readonly KnownKind[] = [
  { kind: "VirtualService", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(virtualServiceSpec) },
  { kind: "DestinationRule", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(destinationRuleSpec) },
  { kind: "Gateway", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(gatewaySpec) },
  { kind: "ServiceEntry", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(serviceEntrySpec) },
  { kind: "WorkloadEntry", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(workloadEntrySpec) },
  { kind: "WorkloadGroup", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: strict(workloadGroupSpec) },
  { kind: "Sidecar", group: "networking.istio.io", versions: ISTIO_VERSIONS, namespaced: true, schema: mayBeEmpty(sidecarSpec) },
  { kind: "EnvoyFilter", group: "networking.istio.io", versions: ["v1alpha3"], namespaced: true, schema: mayBeEmpty(envoyFilterSpec) },
  { kind: "ProxyConfig", group: "networking.istio.io", versions: ["v1beta1"], namespaced: true, schema: mayBeEmpty(proxyConfigSpec) },
  { kind: "AuthorizationPolicy", group: "security.istio.io", versions: ["v1", "v1beta1"], namespaced: true, schema: mayBeEmpty(authorizationPolicySpec) },
  { kind: "PeerAuthentication", group: "security.istio.io", versions: ["v1", "v1beta1"], namespaced: true, schema: mayBeEmpty(peerAuthenticationSpec) },
  { kind: "RequestAuthentication", group: "security.istio.io", versions: ["v1", "v1beta1"], namespaced: true, schema: mayBeEmpty(requestAuthenticationSpec) },
  { kind: "Telemetry", group: "telemetry.istio.io", versions: ["v1", "v1alpha1"], namespaced: true, schema: mayBeEmpty(telemetrySpec) },
  { kind: "WasmPlugin", group: "extensions.istio.io", versions: ["v1alpha1"], namespaced: true, schema: strict(wasmPluginSpec) },
  { kind: "TrafficExtension", group: "extensions.istio.io", versions: ["v1alpha1"], namespaced: true, schema: strict(trafficExtensionSpec) },
  { kind: "MeshConfig", group: "weft.mesh", versions: ["v1alpha1"], namespaced: true, schema: strict(meshConfigSpec) },
  { kind: "LocalRun", group: "weft.mesh", versions: ["v1alpha1"], namespaced: true, schema: strict(localRunSpec) },
  { kind: "Service", group: "", versions: ["v1"], namespaced: true, schema: loose(serviceSpec) },
  { kind: "Secret", group: "", versions: ["v1"], namespaced: true, schema: secretDocument },
  { kind: "Deployment", group: "apps", versions: ["v1"], namespaced: true, schema: loose(deploymentSpec) },
  {
    kind: "Namespace",
    group: "",
    versions: ["v1"],
    namespaced: false,
    schema: loose(
      z
        .unknown()
        .optional()
        .transform(() => ({})),
    ),
  },
];

/** Istio's kinds that are not built yet, and workloads that only a cluster runs so far: ignored, and said. */
const NOT_BUILT: ReadonlyMap<string, readonly string[]> = new Map([
  [
    "gateway.networking.k8s.io",
    ["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "ReferenceGrant", "BackendTLSPolicy"],
  ],
  ["apps", ["StatefulSet", "DaemonSet", "ReplicaSet"]],
  ["batch", ["Job", "CronJob"]],
  ["", ["Pod", "ReplicationController"]],
  ["argoproj.io", ["Rollout"]],
]);

/** Kubernetes' kinds that a mesh has no use for, by group. Kinds of groups that are not listed anywhere are none of a mesh's business either. */
const UNUSED: ReadonlyMap<string, readonly string[]> = new Map([
  [
    "",
    ["ConfigMap", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "Endpoints", "Event", "LimitRange", "Node", "ResourceQuota"].concat([
      "Binding",
      "PodTemplate",
      "ComponentStatus",
    ]),
  ],
  ["apps", ["ControllerRevision"]],
  ["batch", []],
  ["networking.k8s.io", ["Ingress", "IngressClass", "NetworkPolicy", "IPAddress", "ServiceCIDR"]],
  ["autoscaling", ["HorizontalPodAutoscaler"]],
  ["policy", ["PodDisruptionBudget"]],
  ["rbac.authorization.k8s.io", ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]],
  ["discovery.k8s.io", ["EndpointSlice"]],
  ["apiextensions.k8s.io", ["CustomResourceDefinition"]],
  ["admissionregistration.k8s.io", ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy"]],
  ["scheduling.k8s.io", ["PriorityClass"]],
  ["storage.k8s.io", ["StorageClass"]],
  ["kustomize.config.k8s.io", ["Kustomization"]],
]);

/** Groups all of whose kinds Weft knows: another name in one of them is a mistake. */
const CLOSED_GROUPS: ReadonlySet<string> = new Set(["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "weft.mesh"]);

export type Standing = "known" | "not-built" | "unused" | "unknown";

/** What Weft does with kind `kind` of `group`. */
export function standingOf(group: string, kind: string): Standing {
  if (knownKind(group, kind) !== undefined) return "known";
  if (NOT_BUILT.get(group)?.includes(kind)) return "not-built";
  if (UNUSED.get(group)?.includes(kind)) return "unused";
  return "unknown";
}

/** The kind that Weft reads under this group and name. */
export function knownKind(group: string, kind: string): KnownKind | undefined {
  return KNOWN_KINDS.find((known) => known.kind === kind && known.group === group);
}

/** Names of all kinds of a group that Weft has heard of. */
export function kindsOf(group: string): readonly string[] {
  return [...KNOWN_KINDS.filter((known) => known.group === group).map((known) => known.kind), ...(NOT_BUILT.get(group) ?? []), ...(UNUSED.get(group) ?? [])];
}

/** Groups that Weft has heard of. */
export function knownGroups(): readonly string[] {
  return [...new Set([...KNOWN_KINDS.map((known) => known.group), ...NOT_BUILT.keys(), ...UNUSED.keys()])].filter((group) => group !== "");
}

/** Whether a kind of this group that Weft has not heard of must be a mistake. */
export function isClosedGroup(group: string): boolean {
  return CLOSED_GROUPS.has(group);
}
