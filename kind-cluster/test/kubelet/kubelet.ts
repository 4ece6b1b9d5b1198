// A scheduler and a kubelet for several nodes on one machine, as small as tests of injected pods need them: every pod is a network namespace, every container a
// process. In: the API server, the nodes with their zones, the program for each image.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IsolatedNetwork } from "../../../control-plane/local/isolation/network.ts";
import { type IsolatedMesh, machineAddress } from "../../../control-plane/local/isolation/plan.ts";
import { type Api, ApiError } from "../api.ts";
import type { Image, NodeLabels, Pod } from "./objects.ts";
import { type RunningPod, startPod } from "./pod.ts";

export interface KubeletOptions {
  readonly api: Api;
  readonly apiUrl: URL;
  readonly mesh: IsolatedMesh;
  readonly network: IsolatedNetwork;
  readonly nodes: readonly NodeLabels[];
  readonly images: (image: string) => Image;
  /** How often the files of volumes are looked after. Default 1 s. */
  readonly renewMs?: number;
  /** When a token is replaced by the next. Default: at four fifths of its life. */
  readonly tokenMs?: number;
}

export interface Kubelet {
  /** Holds `logs/<namespace>_<pod>_<container>.log`. */
  readonly folder: string;
  /** Sends a signal to a container's processes. */
  readonly signal: (pod: Pod, container: string, signal: NodeJS.Signals) => void;
  /** Makes a container not ready whatever its probe says, and lets the probe count again. */
  readonly setReady: (pod: Pod, container: string, counts: boolean) => void;
  /** Cuts a node's power: its pods are dead at once, and nobody says so to the API server. */
  readonly failNode: (name: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

const HEARTBEAT_MS = 1_000;

/** Starts with the nodes registered and ready. */
export async function startKubelet({ nodes, renewMs = 1_000, ...options }: KubeletOptions): Promise<Kubelet> {
  const { api, mesh } = options;
  const folder = await mkdtemp(join(tmpdir(), "weft-kubelet-"));
  const alive = new Map(nodes.map((node) => [node.name, node]));
  const running = new Map<string, { readonly node: string; readonly pod: RunningPod }>();
  const ended = new Set<string>();
  let lastIndex = 0;

  const heartbeat = async (name: string): Promise<void> => {
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: new Date().toISOString().replace("Z", "000Z") };
    const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name, namespace: "kube-node-lease" }, spec };
    await api.patch(`/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}?fieldManager=kubelet&force=true`, lease, "apply");
    await api.patch(`/api/v1/nodes/${name}/status`, { status: nodeStatus(machineAddress(mesh)) }, "strategic-merge");
  };
  const schedule = (pod: Pod): void => {
    const fitting = [...alive.values()].filter((node) => Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labelsOf(node)[key] === value));
    const load = (name: string): number => [...running.values()].filter(({ node }) => node === name).length;
    const [chosen] = fitting.sort((one, other) => load(one.name) - load(other.name) || (one.name < other.name ? -1 : 1));
    if (chosen === undefined) return;
    const target = { apiVersion: "v1", kind: "Node", name: chosen.name };
    const { name, namespace } = pod.metadata;
    // Refused where it is bound already: then the watch says so.
    api.post(`/api/v1/namespaces/${namespace}/pods/${name}/binding`, { metadata: { name }, target }).catch(() => undefined);
  };
  const onPod = (pod: Pod): void => {
    const { uid, deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata;
    const { nodeName } = pod.spec;
    if (nodeName === undefined && deletionTimestamp === undefined) schedule(pod);
    if (nodeName === undefined || !alive.has(nodeName) || ended.has(uid)) return;
    const known = running.get(uid);
    if (deletionTimestamp !== undefined) void known?.pod.terminate(deletionGracePeriodSeconds).finally(() => forget(uid));
    else if (known === undefined && !["Succeeded", "Failed"].includes(pod.status.phase)) {
      lastIndex += 1;
      running.set(uid, { node: nodeName, pod: startPod({ ...options, folder, renewMs }, pod, lastIndex) });
    }
  };
  const forget = (uid: string): void => {
    ended.add(uid);
    running.delete(uid);
  };
  const vanish = async (chosen: readonly [string, { readonly pod: RunningPod }][]): Promise<void> => {
    await Promise.all(chosen.map(([uid, { pod }]) => pod.vanish().finally(() => forget(uid))));
  };

  for (const node of nodes) {
    const metadata = { name: node.name, labels: labelsOf(node) };
    await api
      .post("/api/v1/nodes", { metadata, spec: {} })
      .catch((error: Error) => (error instanceof ApiError && error.status === 409 ? undefined : Promise.reject(error)));
    await heartbeat(node.name);
  }
  const beating = setInterval(() => {
    for (const name of alive.keys()) heartbeat(name).catch(() => undefined);
  }, HEARTBEAT_MS);
  const watch = api.follow<Pod>("/api/v1/pods", onPod, ({ metadata: { uid } }) => {
    const known = running.get(uid);
    if (known !== undefined) void vanish([[uid, known]]);
  });
  return {
    folder,
    signal: (pod, container, signal) => running.get(pod.metadata.uid)?.pod.signal(container, signal),
    setReady: (pod, container, counts) => running.get(pod.metadata.uid)?.pod.setReady(container, counts),
    failNode: async (name) => {
      alive.delete(name);
      await vanish([...running].filter(([, { node }]) => node === name));
    },
    close: async () => {
      watch.close();
      clearInterval(beating);
      await vanish([...running]);
      if (process.env.WEFT_KEEP !== "1") await rm(folder, { recursive: true, force: true });
    },
  };
}

function labelsOf({ name, region, zone }: NodeLabels): Readonly<Record<string, string>> {
  return { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone };
}

function nodeStatus(address: string): object {
  const capacity = { cpu: "16", memory: "32Gi", pods: "110" };
  const ready = {
    type: "Ready",
    status: "True",
    reason: "KubeletReady",
    message: "ready",
    lastHeartbeatTime: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
  };
  return { capacity, allocatable: capacity, addresses: [{ type: "InternalIP", address }], conditions: [ready], nodeInfo: NODE_INFO };
}

const NODE_INFO = {
  architecture: process.arch === "arm64" ? "arm64" : "amd64",
  operatingSystem: "linux",
  kubeletVersion: "v1.37.2",
  containerRuntimeVersion: "processes://1",
  bootID: "",
  kernelVersion: "",
  kubeProxyVersion: "",
  machineID: "",
  osImage: "",
  systemUUID: "",
};
