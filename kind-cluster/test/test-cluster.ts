// A whole cluster on this machine for a test: a real API server with its controllers, nodes in three zones, names and addresses of Services. Linux, as root.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { claimNetwork, isClaimed } from "../../control-plane/local/claims.ts";
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import { createIsolatedNetwork, isolationProblem } from "../../control-plane/local/isolation/network.ts";
import { machineAddress, namespaceName } from "../../control-plane/local/isolation/plan.ts";
import { until } from "../../envoy/e2e/mesh.ts";
import { ensureEnvoy } from "../../envoy/install.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { createImages } from "./images.ts";
import { type Kubelet, startKubelet } from "./kubelet/kubelet.ts";
import type { NodeLabels, Pod } from "./kubelet/objects.ts";
import type { PodLoadOptions } from "./load-client.ts";
import { type PodLoad, startPodLoad } from "./pod-load.ts";
import { type EndpointSlice, SERVICE_RANGE, startServiceNetwork } from "./service-network.ts";

export interface TestCluster extends Cluster {
  readonly kubelet: Kubelet;
  /** `kubectl apply` of a text. */
  readonly apply: (text: string, namespace?: string) => Promise<void>;
  /** Files of a folder. */
  readonly applyFiles: (folder: string, files: readonly string[]) => Promise<void>;
  /** Pods of a namespace whose labels are these, without those that are being deleted. */
  readonly pods: (labels: Readonly<Record<string, string>>, namespace?: string) => Promise<readonly Pod[]>;
  /** Awaits that so many pods with these labels are ready, and no others are there. */
  readonly readyPods: (count: number, labels: Readonly<Record<string, string>>, namespace?: string, timeoutMs?: number) => Promise<readonly Pod[]>;
  /** Of a Service's endpoints that are ready. */
  readonly readyAddresses: (service: string, namespace?: string) => Promise<readonly string[]>;
  /** What a container has written. */
  readonly log: (pod: Pod, container: string) => Promise<string>;
  /** One GET from a pod's network, with the pod's names and through its interception: `http://order-history:9090/`. */
  readonly ask: (pod: Pod, url: string, headers?: Readonly<Record<string, string>>) => Promise<PodResponse>;
  /** Of `ip netns`. */
  readonly networkNamespace: (pod: Pod) => string;
  readonly load: (pod: Pod, options: PodLoadOptions) => PodLoad;
}

export interface PodResponse {
  /** Missing where there was no answer; `error` says why. */
  readonly status?: number;
  readonly error?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A program that sends requests from where it is started. */
export const ASK_REQUESTS = fileURLToPath(new URL("../../envoy/e2e/ask-requests.mjs", import.meta.url));

/** One node in each zone, as in kind.yaml. */
export const NODES: readonly NodeLabels[] = ["a", "b", "c"].map((zone) => ({ name: `node-${zone}`, region: "ap-northeast-2", zone: `ap-northeast-2${zone}` }));

/** Rejects with what is missing, and leaves nothing behind then. */
export async function startTestCluster({ nodes = NODES }: { readonly nodes?: readonly NodeLabels[] } = {}): Promise<TestCluster> {
  const problem = await isolationProblem();
  if (problem !== undefined) throw new Error(problem.replaceAll("--isolate", "a cluster for tests"));
  const claim = await claimNetwork(`cluster ${process.pid}`);
  if (claim === undefined) throw new Error("only 127.0.0.1 can be bound here");
  const mesh = { network: claim.network };
  const images = createImages(await ensureEnvoy());
  const undo: (() => Promise<unknown>)[] = [async () => claim.release()];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const network = await createIsolatedNetwork(mesh, isClaimed);
    undo.push(network.close);
    const cluster = await startCluster({ address: machineAddress(mesh), serviceRange: SERVICE_RANGE });
    undo.push(cluster.close);
    const services = await startServiceNetwork(cluster.api, mesh, network);
    undo.push(services.close);
    const kubelet = await startKubelet({ api: cluster.api, apiUrl: new URL(cluster.url), mesh, network, nodes, images });
    undo.push(kubelet.close);

    const networkNamespace = ({ metadata: { namespace, name } }: Pod): string => namespaceName(mesh, `${name}.${namespace}`);
    const pods: TestCluster["pods"] = async (labels, namespace = "default") => {
      const selector = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      const { items } = await cluster.api.get<{ items: Pod[] }>(`/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(selector.join(","))}`);
      return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).sort((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));
    };
    return {
      ...cluster,
      kubelet,
      close,
      apply: async (text, namespace = "default") => {
        await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"], text);
      },
      applyFiles: async (folder, files) => {
        const args = files.flatMap((file) => ["-f", join(folder, file)]);
        await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-n", "default", ...args]);
      },
      pods,
      networkNamespace,
      readyPods: (count, labels, namespace, timeoutMs = 60_000) =>
        until(
          `${count} ready pods with ${JSON.stringify(labels)}`,
          async () => {
            const found = await pods(labels, namespace);
            if (found.length === count && found.every(isReady)) return found;
            throw new Error(JSON.stringify(found.map(({ metadata, status }) => ({ name: metadata.name, status }))));
          },
          timeoutMs,
        ),
      readyAddresses: async (service, namespace = "default") => {
        const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io/service-name=${service}`;
        const { items } = await cluster.api.get<{ items: EndpointSlice[] }>(path);
        return items.flatMap((slice) => slice.endpoints ?? []).flatMap(({ addresses, conditions }) => (conditions?.ready === false ? [] : addresses));
      },
      log: ({ metadata: { namespace, name } }, container) => readFile(join(kubelet.folder, "logs", `${namespace}_${name}_${container}.log`), "utf8"),
      ask: async (pod, url, headers = {}) => {
        const answers: PodResponse[] = JSON.parse(
          await runTool("ip", ["netns", "exec", networkNamespace(pod), process.execPath, ASK_REQUESTS], JSON.stringify([{ url, headers, withHeaders: true }])),
        );
        return answers[0] ?? {};
      },
      load: (pod, options) => {
        const load = startPodLoad(networkNamespace(pod), options);
        undo.push(load.end);
        return load;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function isReady({ status }: Pod): boolean {
  return status.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false;
}
