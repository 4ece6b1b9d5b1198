// A mesh in a Kubernetes cluster, for commands with --context: its objects as the files that they would be in a folder, its statuses, and what is asked of single
// pods through the API server.
import { request as httpRequest } from "node:http";
import { Duplex, PassThrough } from "node:stream";
import { z } from "zod";
import { podOf } from "../kubernetes/pod.ts";
import {
  createKubernetesApi,
  type KubeconfigConnection,
  type KubernetesApi,
  KubernetesApiError,
  type KubernetesObject,
  kubeconfigConnection,
} from "../source/kubernetes-api.ts";
import { collectionPath, discover, type ServedKind } from "../source/kubernetes-discovery.ts";
import { type ClusterFile, clusterFile, fileName } from "../source/kubernetes-file.ts";
import { listObjects } from "../source/kubernetes-list.ts";
import { namedSecrets } from "../source/kubernetes-secrets.ts";
import { parseFile } from "../source/parse-file.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { readMeshFiles } from "./mesh-files.ts";

/** Which cluster is meant. */
export interface ClusterChoice {
  readonly context: string;
  readonly kubeconfig?: string;
}

/** Of options of commands that work against a cluster too. */
export interface ClusterOption {
  readonly cluster?: ClusterChoice;
}

export interface OpenedCluster {
  readonly api: KubernetesApi;
  readonly connection: KubeconfigConnection;
  readonly kinds: readonly ServedKind[];
  readonly close: () => void;
}

/** Workloads: what runs, for questions about requests. */
const DEPLOYMENT: ServedKind = { kind: "Deployment", group: "apps", version: "v1", plural: "deployments", namespaced: true, hasStatus: true };
const SECRET: ServedKind = { kind: "Secret", group: "", version: "v1", plural: "secrets", namespaced: true, hasStatus: false };
const ROOT_NAMESPACE = "weft-system";

/** Rejects with a CommandError where there is no such context, or its server does not answer. */
export async function openCluster({ context, kubeconfig }: ClusterChoice): Promise<OpenedCluster> {
  const connection = await kubeconfigConnection({ context, ...(kubeconfig === undefined ? {} : { path: kubeconfig }) }).catch((error: Error) => {
    throw new CommandError(error.message.replace(/\. Fix: .*/, ""), "`kubectl config get-contexts` lists the contexts", EXIT.usage);
  });
  const api = createKubernetesApi(connection);
  const found = await told(discover(api, ""), context);
  return { api, connection, kinds: found.kind === "found" ? found.kinds : [], close: api.close };
}

/** All objects of the mesh, by file, in the order of their names. Secrets are those that Gateways name, as far as they may be read. */
export async function clusterFiles({ api, kinds, connection }: OpenedCluster): Promise<ReadonlyMap<string, ClusterFile>> {
  const lists = await Promise.all(
    [...kinds, DEPLOYMENT].map(async (kind) => {
      const { objects } = await told(listObjects(api, collectionPath(kind)), connection.context);
      return objects.filter(({ metadata }) => kind.kind !== "MeshConfig" || metadata.namespace === ROOT_NAMESPACE).map((object) => clusterFile(kind, object));
    }),
  );
  const files = lists.flat();
  const ofKind = (kind: string): readonly KubernetesObject[] => files.filter((file) => file.kind.kind === kind).map(({ object }) => object);
  const gateways = new Set(files.filter(({ kind, object }) => kind.kind === "Deployment" && isGateway(object)).map(({ namespace }) => namespace));
  const secrets = await Promise.all(
    namedSecrets(ofKind("Gateway"), ofKind("DestinationRule"), gateways).map(async (key): Promise<readonly ClusterFile[]> => {
      const [namespace = "", name = ""] = key.split("/");
      const answer = await api.ask({ path: `${collectionPath(SECRET, namespace)}/${name}` }).catch(() => undefined);
      return answer === undefined ? [] : [clusterFile(SECRET, answer.body as KubernetesObject)];
    }),
  );
  return new Map([...files, ...secrets.flat()].sort((a, b) => (a.file < b.file ? -1 : 1)).map((file) => [file.file, file]));
}

/** The text of each file of the cluster's mesh, as {@link readMeshFiles} gives that of a folder. */
export async function clusterTexts(choice: ClusterChoice): Promise<ReadonlyMap<string, string>> {
  const cluster = await openCluster(choice);
  try {
    return new Map([...(await clusterFiles(cluster))].map(([file, { text }]) => [file, text]));
  } finally {
    cluster.close();
  }
}

/** The cluster's files with those of some paths in their place: what the mesh would be if they were applied. */
export async function withFilesOf(choice: ClusterChoice, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const texts = new Map(await clusterTexts(choice));
  if (paths.length === 0) return texts;
  for (const [path, text] of await readMeshFiles(paths)) {
    for (const { kind, namespace, name } of parseFile(path, text).resources) texts.delete(fileName(kind, namespace, name));
    texts.set(path, text);
  }
  return texts;
}

/** The pods of the control planes. Rejects with a CommandError where there are none. */
export async function controlPlanePods(choice: ClusterChoice): Promise<readonly Omit<PodPlace, "port">[]> {
  const cluster = await openCluster(choice);
  try {
    const query = { labelSelector: "app=weft-control-plane", fieldSelector: "status.phase=Running" };
    const { objects } = await told(listObjects(cluster.api, `/api/v1/namespaces/${ROOT_NAMESPACE}/pods`, query), choice.context);
    if (objects.length === 0)
      throw new CommandError(`no control plane runs in ${ROOT_NAMESPACE} of ${choice.context}`, "Install Weft: kind-cluster/README.md says how");
    return objects.map(({ metadata }) => ({ namespace: ROOT_NAMESPACE, pod: metadata.name }));
  } finally {
    cluster.close();
  }
}

/** A pod with a proxy by its own name, or one of a workload. Rejects with a CommandError that names those that there are. */
export async function proxyPod(choice: ClusterChoice, typed: string, namespace: string | undefined): Promise<Omit<PodPlace, "port">> {
  const cluster = await openCluster(choice);
  try {
    const path = namespace === undefined ? "/api/v1/pods" : `/api/v1/namespaces/${namespace}/pods`;
    const { objects } = await told(listObjects(cluster.api, path), choice.context);
    const pods = objects.flatMap((object) => podOf(object) ?? []).filter(({ proxy, ending }) => proxy !== undefined && !ending);
    const found = pods.filter(({ name, workload }) => name === typed || workload === typed).sort((a, b) => (a.name < b.name ? -1 : 1));
    const [first] = found;
    if (first === undefined) {
      const names = [...new Set(pods.map(({ workload }) => workload))].sort();
      throw new CommandError(`no pod with a proxy is, or belongs to, ${typed}`, `There are ${names.join(", ") || "none"}`);
    }
    const namespaces = [...new Set(found.map((pod) => pod.namespace))];
    if (namespaces.length > 1) throw new CommandError(`${typed} is in ${namespaces.sort().join(" and ")}`, `Say which: -n ${namespaces[0]}`, EXIT.usage);
    return { namespace: first.namespace, pod: first.name };
  } finally {
    cluster.close();
  }
}

const deployment = z.object({
  template: z.object({ metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }).default({ annotations: {} }) }),
});

function isGateway({ spec }: KubernetesObject): boolean {
  const read = deployment.safeParse(spec);
  return read.success && (read.data.template.metadata.annotations["inject.istio.io/templates"] ?? "").split(",").includes("gateway");
}

/** The answer, or a CommandError in place of the client's own. */
export async function told<Answer>(answer: Promise<Answer>, context: string): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubernetesApiError) {
      const next =
        error.status === 403 || error.status === 401 ? "Use a context whose user may read this" : "`kubectl --context … get --raw /readyz` says how it is";
      throw new CommandError(`the API server of ${context} refuses: ${error.message}`, next);
    }
    throw new CommandError(
      `the API server of ${context} does not answer: ${error instanceof Error ? error.message : String(error)}`,
      "Is the cluster running?",
    );
  }
}

export interface PodPlace {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const FORWARD_MS = 10_000;
const LARGEST_BYTES = 256 * 1024 * 1024;

/** One GET to a port of a pod that may be on its loopback only, by the API server's port-forward. Rejects with a CommandError. */
export async function askPod({ context, kubeconfig }: ClusterChoice, { namespace, pod, port }: PodPlace, path: string): Promise<string> {
  const { KubeConfig, PortForward } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  config.setCurrentContext(context);
  const [sent, received, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let said = "";
  errors.on("data", (part: Buffer) => {
    said += part.toString("utf8");
  });
  const refused = (reason: string): CommandError =>
    new CommandError(
      `port ${port} of the pod ${namespace}/${pod} is not reached: ${reason}`,
      "Does the pod run, and may this context's user create pods/portforward?",
    );
  const socket = await new PortForward(config).portForward(namespace, pod, [port], received, errors, sent).catch((error: unknown) => {
    throw refused(error instanceof Error ? error.message : String(error));
  });
  try {
    return await askStream(Duplex.from({ writable: sent, readable: received }), path);
  } catch (error) {
    throw refused(said.trim() || (error instanceof Error ? error.message : String(error)));
  } finally {
    if (typeof socket !== "function") socket.close();
  }
}

function askStream(stream: Duplex, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { createConnection: () => stream, host: "127.0.0.1", path, headers: { connection: "close", host: "127.0.0.1" } },
      (response) => {
        const chunks: Buffer[] = [];
        let sizeBytes = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          sizeBytes += chunk.length;
          if (sizeBytes > LARGEST_BYTES) outgoing.destroy(new Error("the answer is too large"));
        });
        response.once("error", reject);
        response.once("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`it answers ${response.statusCode} to ${path}: ${text.slice(0, 200).trim()}`));
        });
      },
    );
    const timer = setTimeout(() => outgoing.destroy(new Error(`nothing came within ${FORWARD_MS / 1_000} s`)), FORWARD_MS);
    outgoing.once("close", () => clearTimeout(timer));
    outgoing.once("error", reject);
    outgoing.end();
  });
}
