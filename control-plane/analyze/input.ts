// What the rules of an analysis look at: every resource of the given files, of Weft's kinds typed, of Kubernetes' kinds as far as they matter.
// Resources with mistakes of their own are among them: one mistake does not hide the next.
import { z } from "zod";
import type { Origin } from "../model/diagnostic.ts";
import type {
  AnyResource,
  AuthorizationPolicy,
  DestinationRule,
  FieldPath,
  Gateway,
  RequestAuthentication,
  ServiceEntry,
  Sidecar,
  Telemetry,
  VirtualService,
} from "../model/resource.ts";
import type { RawDocument } from "../source/raw-documents.ts";

/** What a finding is about: a typed resource or a document of any kind. */
export interface Subject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly locate: (path: FieldPath) => Origin;
}

/** A document together with what was read of its spec. */
export interface KubernetesObject<Spec> extends Subject {
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: Spec;
}

const texts = z.record(z.string(), z.coerce.string()).catch({}).default({});
const securityContext = z.looseObject({ runAsUser: z.number().optional() }).optional().catch(undefined);
const container = z.looseObject({
  name: z.string().default(""),
  image: z.string().default(""),
  securityContext,
  env: z
    .array(z.looseObject({ name: z.string().default(""), value: z.coerce.string().optional() }))
    .catch([])
    .default([]),
});
const containers = z.array(container).catch([]).default([]);
const podSpec = z.looseObject({ nodeName: z.string().default(""), securityContext, containers, initContainers: containers });
const template = z.looseObject({
  metadata: z.looseObject({ labels: texts, annotations: texts }).prefault({}),
  spec: podSpec.prefault({}),
});
const deploymentSpec = z.looseObject({ template: template.prefault({}) });
const serviceSpec = z.looseObject({
  type: z.string().default("ClusterIP"),
  selector: texts,
  ports: z
    .array(
      z.looseObject({
        name: z.string().default(""),
        port: z.number().default(0),
        targetPort: z.union([z.number(), z.string()]).optional(),
        protocol: z.string().default("TCP"),
        appProtocol: z.string().optional(),
      }),
    )
    .catch([])
    .default([]),
});

export type PodSpec = z.output<typeof podSpec>;
export type DeploymentSpec = z.output<typeof deploymentSpec>;
export type ServiceSpec = z.output<typeof serviceSpec>;
export type Pod = KubernetesObject<PodSpec>;
export type Deployment = KubernetesObject<DeploymentSpec>;
export type Service = KubernetesObject<ServiceSpec>;

/** Settings of the mesh that rules depend on. */
export interface AnalyzedMesh {
  readonly rootNamespace: string;
  /** `defaultConfig.proxyMetadata` of Istio's MeshConfig. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly extensionProviders: readonly { readonly name: string; readonly [field: string]: unknown }[];
  /** Whether access logs have a provider where a Telemetry names none. */
  readonly hasDefaultAccessLog: boolean;
}

export interface AnalysisInput {
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: readonly Gateway[];
  readonly serviceEntries: readonly ServiceEntry[];
  readonly sidecars: readonly Sidecar[];
  readonly authorizationPolicies: readonly AuthorizationPolicy[];
  readonly requestAuthentications: readonly RequestAuthentication[];
  readonly telemetries: readonly Telemetry[];
  readonly services: readonly Service[];
  readonly deployments: readonly Deployment[];
  readonly pods: readonly Pod[];
  readonly documents: readonly RawDocument[];
  readonly mesh: AnalyzedMesh;
  /** For the validity of certificates. */
  readonly nowMs: number;
  /** `weft`: a Deployment stands for its pods, each of which is in the mesh, and gateways need no pods. `istio`: Pods alone, with Istio's injection. */
  readonly platform: "weft" | "istio";
}

/** Sorts what was read into kinds. `mesh` is what is known beside the documents. */
export function analysisInput(
  resources: readonly AnyResource[],
  documents: readonly RawDocument[],
  { mesh, platform, nowMs }: Pick<AnalysisInput, "mesh" | "platform" | "nowMs">,
): AnalysisInput {
  const of = <Kind extends AnyResource["kind"]>(kind: Kind): readonly (AnyResource & { kind: Kind })[] =>
    resources.filter((resource): resource is AnyResource & { kind: Kind } => resource.kind === kind);
  const deployments = objects(documents, "apps", "Deployment", deploymentSpec);
  const pods = objects(documents, "", "Pod", podSpec);
  return {
    virtualServices: of("VirtualService"),
    destinationRules: of("DestinationRule"),
    gateways: of("Gateway"),
    serviceEntries: of("ServiceEntry"),
    sidecars: of("Sidecar"),
    authorizationPolicies: of("AuthorizationPolicy"),
    requestAuthentications: of("RequestAuthentication"),
    telemetries: of("Telemetry"),
    services: objects(documents, "", "Service", serviceSpec),
    deployments,
    pods: platform === "weft" ? [...pods, ...deployments.map(podOf)] : pods,
    documents,
    mesh,
    nowMs,
    platform,
  };
}

/** The documents of one kind. */
export function documentsOf(input: Pick<AnalysisInput, "documents">, group: string, kind: string): readonly RawDocument[] {
  return input.documents.filter((document) => document.kind === kind && document.group === group);
}

function objects<Spec>(documents: readonly RawDocument[], group: string, kind: string, schema: z.ZodType<Spec>): readonly KubernetesObject<Spec>[] {
  return documentsOf({ documents }, group, kind).flatMap((document) => {
    const result = schema.safeParse(fieldOf(document.content, "spec") ?? {});
    if (!result.success) return [];
    const { name, namespace, labels, annotations, locate } = document;
    return [{ kind, name, namespace, labels, annotations, locate, spec: result.data }];
  });
}

/** A field of a value that may be a map. */
export function fieldOf(value: unknown, field: string): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? new Map<string, unknown>(Object.entries(value)).get(field) : undefined;
}

function podOf(deployment: Deployment): Pod {
  const { metadata, spec } = deployment.spec.template;
  return { ...deployment, labels: metadata.labels, annotations: metadata.annotations, spec };
}
