// The control plane against a real API server at the size of a company: how long until it serves, what a change costs, and whether pods that come and go without
// end cost more and more.
import { join } from "node:path";
import { z } from "zod";
import { CONTROL_PLANE_NAME } from "../../../control-plane/ca/control-plane-name.ts";
import { ROOTS_CONFIG_MAP, ROOTS_KEY, TOKEN_AUDIENCE } from "../../../control-plane/kubernetes/pod-contract.ts";
import { type Cluster, startCluster } from "../../../kind-cluster/test/cluster.ts";
import { until } from "../../e2e/mesh.ts";
import type { ClientSecurity } from "../scale/clients.ts";
import { type Clients, startClients } from "../scale/processes.ts";
import { serviceName } from "../scale/service-mesh.ts";
import { type ClusterControlPlane, startControlPlane } from "./control-plane.ts";
import { type BenchPod, type ClusterSize, nodes, type Posted, podStatus, pods, proxyIds, scopes, services, WIDE_PROXY } from "./objects.ts";

/** What something took: until the last stream had it, and of the control plane's CPU. */
export interface ClusterCost {
  readonly elapsedMs: number;
  readonly cpuSeconds: number;
  readonly streams: number;
  readonly medianBytes: number;
}

export interface Churn {
  readonly seconds: number;
  readonly changes: number;
  /** Of the control plane, per second. */
  readonly cpuShare: number;
  readonly publications: number;
  /** Megabytes at each fifth of the time. */
  readonly memoryMb: readonly number[];
  /** What a control plane that has just begun had to send to a proxy that followed all of it: 0 when no update was lost. */
  readonly lost: number;
}

export interface ClusterMeasurement {
  readonly size: ClusterSize;
  /** Of the whole cluster's objects, before anything is measured. */
  readonly filledMs: number;
  /** From the start of the process until it serves. */
  readonly readyMs: number;
  readonly readyCpuSeconds: number;
  readonly firstSync: ClusterCost;
  /** Three times each: the first runs code that was never run. */
  readonly endpointChanges: readonly ClusterCost[];
  readonly weightChanges: readonly ClusterCost[];
  readonly churn: Churn;
  readonly memoryMb: { readonly steady: number; readonly peak: number };
}

export interface ClusterOptions {
  readonly size: ClusterSize;
  readonly churnSeconds: number;
  readonly changesPerSecond: number;
  readonly onProgress?: (line: string) => void;
}

const AT_ONCE = 24;
const QUIET_MS = 3_000;
const SETTLED_MS = 30_000;
/** So that no node's silence is a change. */
const NEVER_SECONDS = 100_000;

/** Fills a cluster, measures, and takes all of it away. Linux only. */
export async function measureCluster(options: ClusterOptions): Promise<ClusterMeasurement> {
  const { size, onProgress = () => undefined } = options;
  const cluster = await startCluster({ nodeGraceSeconds: NEVER_SECONDS });
  const closing: (() => Promise<unknown>)[] = [cluster.close];
  try {
    const began = performance.now();
    const all = pods(size);
    await fill(cluster, size, all, onProgress);
    const filledMs = performance.now() - began;
    const controlPlane = await startControlPlane(cluster.kubeconfig, cluster.folder, "control-plane");
    closing.push(controlPlane.end);
    const readyCpuSeconds = await controlPlane.cpuSeconds();
    onProgress(`ready after ${Math.round(controlPlane.readyMs)} ms, CPU ${readyCpuSeconds.toFixed(1)} s`);
    const clients = startClients();
    closing.push(clients.end);
    const ids = proxyIds(size);
    const security = await securityFor(cluster, [...ids, WIDE_PROXY]);
    // Its process has begun.
    await clients.report({ quietMs: 0, atLeast: 0 });
    const measured: Measured = { cluster, controlPlane, clients, streams: ids.length, onProgress };
    const firstSync = await cost(measured, "first sync", () => clients.open(controlPlane.xdsPort, ids, security));
    const endpoint = all.find(({ name }) => name === `${serviceName(3)}-5`);
    if (endpoint === undefined) throw new Error("the mesh has fewer pods than are changed");
    const endpointChanges: ClusterCost[] = [];
    for (const ready of [false, true, false]) endpointChanges.push(await cost(measured, "one endpoint", () => setReady(cluster, endpoint, ready)));
    const weightChanges: ClusterCost[] = [];
    for (const weight of [80, 70, 60]) weightChanges.push(await cost(measured, "one weight", () => setWeight(cluster, weight)));
    const { now: steady } = await controlPlane.memory();
    clients.open(controlPlane.xdsPort, [WIDE_PROXY], security);
    await clients.report({ quietMs: QUIET_MS, atLeast: 1 });
    const churn = await measureChurn(measured, options, all);
    const { peak } = await controlPlane.memory();
    const lost = await differenceFromAFreshOne(measured, security, endpoint);
    return {
      size,
      filledMs,
      readyMs: controlPlane.readyMs,
      readyCpuSeconds,
      firstSync,
      endpointChanges,
      weightChanges,
      churn: { ...churn, lost },
      memoryMb: { steady, peak },
    };
  } finally {
    for (const close of closing.reverse()) await close().catch((error: unknown) => onProgress(`while ending: ${error}`));
  }
}

interface Measured {
  readonly cluster: Cluster;
  readonly controlPlane: ClusterControlPlane;
  readonly clients: Clients;
  /** Every one of which has to take what is changed. */
  readonly streams: number;
  readonly onProgress: (line: string) => void;
}

async function cost({ controlPlane, clients, streams: expected, onProgress }: Measured, what: string, act: () => Promise<void> | void): Promise<ClusterCost> {
  const [cpu, startedAtMs] = [await controlPlane.cpuSeconds(), performance.timeOrigin + performance.now()];
  await act();
  const { streams, medianBytes, lastAtMs } = await clients.report({ quietMs: QUIET_MS, atLeast: expected });
  const spent = (await controlPlane.cpuSeconds()) - cpu;
  const found = { elapsedMs: lastAtMs === 0 ? 0 : lastAtMs - startedAtMs, cpuSeconds: spent, streams, medianBytes };
  onProgress(`${what}: ${Math.round(found.elapsedMs)} ms, CPU ${spent.toFixed(2)} s, ${streams} streams, ${medianBytes} bytes each`);
  return found;
}

/** The proxy that sees everything goes to a control plane that has just begun: how many resources it takes there. Rejects where it would notice nothing. */
async function differenceFromAFreshOne({ cluster, clients }: Measured, security: ClientSecurity, pod: BenchPod): Promise<number> {
  clients.close();
  const fresh = await startControlPlane(cluster.kubeconfig, cluster.folder, "fresh-control-plane");
  try {
    clients.open(fresh.xdsPort, [WIDE_PROXY], security);
    await until(
      "the proxy at the fresh control plane",
      async () => ((await fresh.metric('weft_proxies{state="up_to_date"}')) === 1 ? true : undefined),
      120_000,
    );
    const { resources, removals } = await clients.report({ quietMs: QUIET_MS, atLeast: 0 });
    let noticed = 0;
    for (const ready of [true, false]) {
      await setReady(cluster, pod, ready);
      noticed += (await clients.report({ quietMs: QUIET_MS, atLeast: 1, timeoutMs: 60_000 })).resources;
    }
    if (noticed === 0) throw new Error("a change was not sent: the comparison with a fresh control plane says nothing");
    return resources + removals;
  } finally {
    await fresh.end();
  }
}

/** Pods become ready and unready, each its turn, at a rate that is kept on the whole. */
async function measureChurn(
  { cluster, controlPlane, onProgress }: Measured,
  { churnSeconds, changesPerSecond }: ClusterOptions,
  all: readonly BenchPod[],
): Promise<Omit<Churn, "lost">> {
  const count = "weft_publication_duration_seconds_count";
  const [cpu, publications, startedMs] = [await controlPlane.cpuSeconds(), await controlPlane.metric(count), performance.now()];
  const memoryMb: number[] = [];
  const total = churnSeconds * changesPerSecond;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < total) {
      const turn = next++;
      const waitMs = startedMs + (turn * 1_000) / changesPerSecond - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const pod = all[(turn * 7) % all.length];
      if (pod !== undefined) await setReady(cluster, pod, Math.floor((turn * 7) / all.length) % 2 === 1);
      if ((turn + 1) % Math.ceil(total / 5) === 0) memoryMb.push((await controlPlane.memory()).now);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const seconds = (performance.now() - startedMs) / 1_000;
  const spent = (await controlPlane.cpuSeconds()) - cpu;
  await settled(controlPlane);
  const published = (await controlPlane.metric(count)) - publications;
  onProgress(
    `churn: ${total} changes in ${seconds.toFixed(0)} s, CPU ${(spent / seconds).toFixed(2)} of a core, ${published} publications, ${memoryMb.map(Math.round).join(", ")} MB`,
  );
  return { seconds, changes: total, cpuShare: spent / seconds, publications: published, memoryMb };
}

/** Until what came last is published and every proxy that is connected has it: nothing is published for a while that is longer than one takes. */
async function settled(controlPlane: ClusterControlPlane): Promise<void> {
  const read = async () => [await controlPlane.metric("weft_publication_duration_seconds_count"), await controlPlane.metric('weft_proxies{state="behind"}')];
  for (let quietSince = performance.now(), last = await read(); performance.now() - quietSince < SETTLED_MS; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = await read();
    if (now[0] !== last[0] || now[1] !== 0) quietSince = performance.now();
    last = now;
  }
}

async function setReady({ api }: Cluster, pod: BenchPod, ready: boolean): Promise<void> {
  await api.patch(`${pod.collection}/${pod.name}/status`, podStatus(pod, ready), "merge");
}

async function setWeight({ api }: Cluster, weight: number): Promise<void> {
  const host = serviceName(3);
  const route = [
    { destination: { host, subset: "v1" }, weight },
    { destination: { host, subset: "v2" }, weight: 100 - weight },
  ];
  await api.patch(`/apis/networking.istio.io/v1/namespaces/default/virtualservices/${host}`, { spec: { http: [{ name: "primary", route }] } });
}

const CRDS = join(import.meta.dirname, "..", "..", "..", "kind-cluster", "crds");

async function fill(cluster: Cluster, size: ClusterSize, all: readonly BenchPod[], onProgress: (line: string) => void): Promise<void> {
  await cluster.kubectl(["apply", "--server-side", "-f", CRDS]);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
  const post = ({ collection, object }: Posted): Promise<unknown> => cluster.api.post(collection, object);
  await post({ collection: "/api/v1/namespaces", object: { metadata: { name: "weft-system" } } });
  await inTurns([...nodes(), ...scopes(), ...services(size)], post);
  onProgress(`${size.services} services`);
  await inTurns(all, async (pod) => {
    await post(pod);
    await setReady(cluster, pod, true);
  });
  onProgress(`${all.length} pods`);
}

/** Some at once, all of them. */
async function inTurns<Item>(items: readonly Item[], act: (item: Item) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const tokenAnswer = z.object({ status: z.object({ token: z.string() }) });
const rootsAnswer = z.object({ data: z.object({ [ROOTS_KEY]: z.string() }) });

/** Each proxy's token is bound to its pod, as a kubelet gets it. */
async function securityFor({ api }: Cluster, proxies: readonly string[]): Promise<ClientSecurity> {
  const tokens: Record<string, string> = {};
  await inTurns(proxies, async (id) => {
    const name = id.slice(0, id.lastIndexOf("."));
    const spec = { audiences: [TOKEN_AUDIENCE], expirationSeconds: 3_600, boundObjectRef: { apiVersion: "v1", kind: "Pod", name } };
    tokens[id] = tokenAnswer.parse(await api.post("/api/v1/namespaces/default/serviceaccounts/default/token", { spec })).status.token;
  });
  const roots = await until("the mesh's roots", () => api.get(`/api/v1/namespaces/default/configmaps/${ROOTS_CONFIG_MAP}`), 60_000);
  return { rootsPem: rootsAnswer.parse(roots).data[ROOTS_KEY], serverName: CONTROL_PLANE_NAME, tokens };
}
