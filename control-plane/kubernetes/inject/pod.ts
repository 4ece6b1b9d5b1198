// A pod, as far as injection reads it: the rest passes through as it is. The same schema reads a Pod and a pod template.
import { z } from "zod";

const port = z.union([z.number(), z.string()]);
const httpGet = z.looseObject({
  path: z.string().optional(),
  port,
  scheme: z.string().optional(),
  host: z.string().optional(),
  httpHeaders: z.array(z.looseObject({ name: z.string(), value: z.string().default("") })).optional(),
});
const probe = z.looseObject({
  httpGet: httpGet.optional(),
  tcpSocket: z.looseObject({ port }).optional(),
  grpc: z.looseObject({ port: z.number() }).optional(),
});
const env = z.looseObject({ name: z.string() });
const container = z.looseObject({
  name: z.string(),
  image: z.string().optional(),
  args: z.array(z.string()).optional(),
  env: z.array(env).optional(),
  ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: z.number(), protocol: z.string().optional() })).optional(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).optional(),
  securityContext: z.looseObject({ runAsUser: z.number().optional(), runAsGroup: z.number().optional() }).optional(),
  resources: z.looseObject({}).optional(),
  restartPolicy: z.string().optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  startupProbe: probe.optional(),
});

const texts = z.record(z.string(), z.string());

export const podSchema = z.looseObject({
  metadata: z
    .looseObject({
      name: z.string().optional(),
      generateName: z.string().optional(),
      namespace: z.string().optional(),
      labels: texts.nullish(),
      annotations: texts.nullish(),
      ownerReferences: z.array(z.looseObject({ kind: z.string(), name: z.string() })).optional(),
    })
    .nullish(),
  spec: z.looseObject({
    containers: z.array(container).min(1),
    initContainers: z.array(container).optional(),
    volumes: z.array(z.looseObject({ name: z.string() })).optional(),
    hostNetwork: z.boolean().optional(),
    securityContext: z
      .looseObject({ runAsUser: z.number().optional(), sysctls: z.array(z.looseObject({ name: z.string(), value: z.string() })).optional() })
      .optional(),
  }),
});

export type Pod = z.output<typeof podSchema>;
export type PodContainer = z.output<typeof container>;
export type PodProbe = z.output<typeof probe>;

/** The annotations of a pod; none where nothing is written. */
export function annotationsOf(pod: Pod): Readonly<Record<string, string>> {
  return pod.metadata?.annotations ?? {};
}

export function labelsOf(pod: Pod): Readonly<Record<string, string>> {
  return pod.metadata?.labels ?? {};
}

/**
 * The workload that a pod belongs to: what its ReplicaSet's name is without the hash of the template, or the name of its other owner, or its own.
 * `""` where nothing says.
 */
export function workloadOf(pod: Pod): string {
  const owner = pod.metadata?.ownerReferences?.[0];
  const hash = labelsOf(pod)["pod-template-hash"];
  if (owner?.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`)) return owner.name.slice(0, -hash.length - 1);
  return owner?.name ?? pod.metadata?.name ?? pod.metadata?.generateName?.replace(/-$/, "") ?? "";
}
