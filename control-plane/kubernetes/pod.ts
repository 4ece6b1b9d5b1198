// A pod as the mesh sees it: the API server's object in, what the mesh needs of it out. Everything else is forgotten, since a cluster has many pods.
import { z } from "zod";
import type { KubernetesObject } from "../source/kubernetes-api.ts";
import { statusOf } from "./inject/status.ts";

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Empty while it is not scheduled. */
  readonly node: string;
  /** Empty while it has none. */
  readonly address: string;
  /** To be given requests: ready, and not told to end. */
  readonly ready: boolean;
  /** Told to end. */
  readonly ending: boolean;
  /** The Deployment, StatefulSet, Job… that it is a copy of; its own name where it is of none. */
  readonly workload: string;
  /** TCP ports that its containers declare, the proxy's left out. */
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  /** The proxy that was injected into it. */
  readonly proxy?: "sidecar" | "gateway";
}

const port = z.object({ name: z.string().optional(), containerPort: z.number(), protocol: z.string().optional() });
const container = z.object({ name: z.string(), restartPolicy: z.string().optional(), ports: z.array(port).optional() });
const podSpec = z.object({
  nodeName: z.string().optional(),
  serviceAccountName: z.string().optional(),
  hostNetwork: z.boolean().optional(),
  containers: z.array(container).default([]),
  initContainers: z.array(container).default([]),
});
const podStatus = z.object({
  phase: z.string().optional(),
  podIP: z.string().optional(),
  conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
});

/** Undefined for one that has run to its end, and for what is no pod. */
export function podOf(object: KubernetesObject): Pod | undefined {
  const spec = podSpec.safeParse(object.spec ?? {});
  const status = podStatus.safeParse(object.status ?? {});
  if (!spec.success || !status.success) return undefined;
  const { phase, podIP = "", conditions } = status.data;
  if (phase === "Succeeded" || phase === "Failed") return undefined;
  const { name, namespace = "default", labels = {}, annotations = {}, deletionTimestamp } = object.metadata;
  const injected = statusOf(annotations);
  const own = new Set([...(injected?.containers ?? []), ...(injected?.initContainers ?? [])]);
  const ending = deletionTimestamp !== undefined;
  const isReady = conditions.some((condition) => condition.type === "Ready" && condition.status === "True");
  const containers = [...spec.data.containers, ...spec.data.initContainers.filter(({ restartPolicy }) => restartPolicy === "Always")];
  return {
    namespace,
    name,
    labels,
    serviceAccount: spec.data.serviceAccountName ?? "default",
    node: spec.data.nodeName ?? "",
    address: podIP,
    ready: isReady && !ending && podIP !== "",
    ending,
    workload: workloadOf(object),
    ports: containers
      .filter((candidate) => !own.has(candidate.name))
      .flatMap(({ ports = [] }) => ports)
      .filter(({ protocol = "TCP" }) => protocol === "TCP")
      .map(({ name: portName, containerPort }) => ({ containerPort, ...(portName === undefined || portName === "" ? {} : { name: portName }) })),
    ...(injected === undefined || spec.data.hostNetwork === true ? {} : { proxy: injected.kind }),
  };
}

/** Whether two versions of a pod are the same to the mesh. */
export function samePod(a: Pod, b: Pod): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A Deployment's pods belong to one of its ReplicaSets, whose name ends with the hash of the pods' template; Argo's Rollouts have a hash of their own. */
function workloadOf({ metadata }: KubernetesObject): string {
  const { name, labels = {}, ownerReferences = [] } = metadata;
  const owner = ownerReferences.find(({ controller }) => controller === true);
  if (owner === undefined) return name;
  if (owner.kind === "ReplicaSet") {
    const hash = [labels["pod-template-hash"], labels["rollouts-pod-template-hash"]].find(
      (candidate) => candidate !== undefined && owner.name.endsWith(`-${candidate}`),
    );
    return hash === undefined ? owner.name : owner.name.slice(0, -hash.length - 1);
  }
  // A CronJob's Job is named after the minute.
  return owner.kind === "Job" ? owner.name.replace(/-\d{8,10}$/, "") : owner.name;
}
