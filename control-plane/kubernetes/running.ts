// What runs in a cluster: pods, nodes and EndpointSlices are watched, and become instances and proxies as the runner of `weft up` would tell them. A change makes
// afresh what depends on it and nothing else, so that a cluster of ten thousand pods costs what changes in it.
import { z } from "zod";
import type { GatewayPort, Instance, Locality, Proxy } from "../mesh/instance.ts";
import { createCoalescer } from "../source/coalesce.ts";
import type { KubernetesApi } from "../source/kubernetes-api.ts";
import type { ClusterFile } from "../source/kubernetes-file.ts";
import { type Informer, type InformerLogger, startInformer } from "../source/kubernetes-informer.ts";
import { localityOfNode, NOWHERE, sameLocality } from "./node.ts";
import { type Pod, podOf, samePod } from "./pod.ts";
import { instanceOfPod, proxyOfPod } from "./pod-proxy.ts";
import { indexServices, type SelectingService, type ServiceIndex, selectingService } from "./service-ports.ts";
import { instancesOfSlice, SLICES_OF_OTHERS, type Slice, sliceOf } from "./slice-instances.ts";

export interface RunningOptions {
  readonly api: KubernetesApi;
  readonly logger: InformerLogger;
  /** The only ones that are looked into; absent: all. */
  readonly namespaces?: readonly string[];
  /** By file: Services and Gateways are among them. */
  readonly objects: ReadonlyMap<string, ClusterFile>;
  /** Of the proxies' listeners. */
  readonly accessLogPath?: string;
  /** What runs is another one than before. */
  readonly onChange: (instances: readonly Instance[], proxies: readonly Proxy[]) => void;
  readonly random?: () => number;
}

export interface ClusterRunning {
  /** Resolves when everything has been listed once. From then on `onChange` is called. */
  readonly synced: Promise<void>;
  /** An object of the mesh has changed: Services and Gateways count. */
  readonly noteObject: (file: string, object: ClusterFile | undefined) => void;
  /** Tells what runs now; to be called once, when objects and `synced` are there. */
  readonly begin: () => void;
  /** Namespaces with a gateway proxy. */
  readonly gatewayNamespaces: () => ReadonlySet<string>;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly close: () => Promise<void>;
}

/** Pods change many at once where a Deployment rolls; the first of them need not wait for long. */
const QUIET_MS = 20;
const LONGEST_QUIET_MS = 200;
/** Server ports of a gateway pod, from its Gateways. */
type ServerPorts = readonly GatewayPort["number"][];

interface Derived {
  readonly instance: Instance | undefined;
  readonly proxy: Proxy | undefined;
}

/** Begins to list and to watch. */
export function watchRunning(options: RunningOptions): ClusterRunning {
  const { api, logger, random = Math.random, namespaces } = options;
  const derived = new Map<string, Derived>();
  const ofSlices = new Map<string, readonly Instance[]>();
  const dirtyPods = new Set<string>();
  const dirtySlices = new Set<string>();
  const dirtyNodes = new Set<string>();
  const dirtyNamespaces = new Set<string>();
  let gatewaysDirty = true;
  let gateways: readonly GatewayServers[] = [];
  const indexes = new Map<string, ServiceIndex>();
  let services: ReadonlyMap<string, readonly SelectingService[]> = new Map();
  let began = false;

  const note = (dirty: Set<string>, key: string): void => {
    dirty.add(key);
    if (began) coalescer.note();
  };
  const inform = <Kept>(path: string, plural: string, own: Pick<Parameters<typeof startInformer<Kept>>[0], "keep" | "same" | "onChange" | "query">) => {
    const places = namespaces === undefined ? [`${path}/${plural}`] : namespaces.map((namespace) => `${path}/namespaces/${namespace}/${plural}`);
    return places.map((place) => startInformer<Kept>({ api, logger, random, path: place, ...own }));
  };
  const pods = new Map<string, Pod>();
  const slices = new Map<string, Slice>();
  const nodes = new Map<string, Locality>();
  const informers: readonly Pick<Informer<unknown>, "synced" | "close">[] = [
    ...inform<Pod>("/api/v1", "pods", {
      query: { fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" },
      keep: podOf,
      same: samePod,
      onChange: (key, pod) => {
        if (pod === undefined) pods.delete(key);
        else pods.set(key, pod);
        note(dirtyPods, key);
      },
    }),
    ...inform<Slice>("/apis/discovery.k8s.io/v1", "endpointslices", {
      query: { labelSelector: SLICES_OF_OTHERS },
      keep: sliceOf,
      same: (a, b) => JSON.stringify(a) === JSON.stringify(b),
      onChange: (key, slice) => {
        if (slice === undefined) slices.delete(key);
        else slices.set(key, slice);
        note(dirtySlices, key);
      },
    }),
    startInformer<Locality>({
      api,
      logger,
      random,
      path: "/api/v1/nodes",
      keep: localityOfNode,
      same: sameLocality,
      onChange: (name, locality) => {
        // Of a node that is gone its pods have gone too, or will: where it stood is still so.
        if (locality !== undefined) nodes.set(name, locality);
        note(dirtyNodes, name);
      },
    }),
  ];

  const indexOf = (namespace: string): ServiceIndex => {
    const index = indexes.get(namespace) ?? indexServices(services.get(namespace) ?? []);
    indexes.set(namespace, index);
    return index;
  };
  const derive = (key: string): void => {
    const pod = pods.get(key);
    if (pod === undefined) {
      derived.delete(key);
      return;
    }
    const locality = nodes.get(pod.node) ?? NOWHERE;
    const selecting = indexOf(pod.namespace).selecting(pod.labels);
    const serverPorts = pod.proxy === "gateway" ? serverPortsFor(gateways, pod) : [];
    const { accessLogPath } = options;
    derived.set(key, {
      instance: instanceOfPod(pod, locality, selecting),
      proxy: proxyOfPod(pod, { locality, services: selecting, serverPorts, ...(accessLogPath === undefined ? {} : { accessLogPath }) }),
    });
  };
  const deriveSlice = (key: string): void => {
    const slice = slices.get(key);
    const service = slice === undefined ? undefined : services.get(slice.namespace)?.find(({ name }) => name === slice.service);
    if (slice === undefined || service === undefined || Object.keys(service.selector).length > 0) ofSlices.delete(key);
    else
      ofSlices.set(
        key,
        instancesOfSlice(slice, service, (node) => nodes.get(node)),
      );
  };

  const tell = (): void => {
    if (dirtyNamespaces.size > 0) {
      services = servicesOf(options.objects);
      for (const namespace of dirtyNamespaces) indexes.delete(namespace);
    }
    if (gatewaysDirty) gateways = gatewayServers(options.objects);
    for (const [key, { node, namespace, proxy }] of pods) {
      if (dirtyNodes.has(node) || dirtyNamespaces.has(namespace) || (gatewaysDirty && proxy === "gateway")) dirtyPods.add(key);
    }
    for (const [key, { namespace }] of slices) if (dirtyNodes.size > 0 || dirtyNamespaces.has(namespace)) dirtySlices.add(key);
    for (const key of dirtyPods) derive(key);
    for (const key of dirtySlices) deriveSlice(key);
    gatewaysDirty = false;
    for (const dirty of [dirtyPods, dirtySlices, dirtyNodes, dirtyNamespaces]) dirty.clear();
    const all = [...derived.values()];
    const instances = [...all.flatMap(({ instance }) => instance ?? []), ...[...ofSlices.values()].flat()];
    options.onChange(
      instances,
      all.flatMap(({ proxy }) => proxy ?? []),
    );
  };
  const coalescer = createCoalescer(QUIET_MS, LONGEST_QUIET_MS, tell);

  return {
    synced: Promise.all(informers.map(({ synced }) => synced)).then(() => undefined),
    noteObject: (file) => {
      const [namespace = "", kind = ""] = file.split("/");
      if (kind === "Service") note(dirtyNamespaces, namespace);
      else if (kind === "Gateway") {
        gatewaysDirty = true;
        if (began) coalescer.note();
      }
    },
    begin: () => {
      began = true;
      gatewaysDirty = true;
      for (const { namespace, kind } of options.objects.values()) if (kind.kind === "Service") dirtyNamespaces.add(namespace);
      for (const key of pods.keys()) dirtyPods.add(key);
      for (const key of slices.keys()) dirtySlices.add(key);
      tell();
    },
    gatewayNamespaces: () => new Set([...pods.values()].flatMap(({ namespace, proxy }) => (proxy === "gateway" ? [namespace] : []))),
    pods,
    close: async () => {
      began = false;
      coalescer.close();
      await Promise.all(informers.map((informer) => informer.close()));
    },
  };
}

function servicesOf(objects: ReadonlyMap<string, ClusterFile>): ReadonlyMap<string, readonly SelectingService[]> {
  const found = new Map<string, SelectingService[]>();
  for (const { kind, namespace, object } of objects.values()) {
    const service = kind.kind === "Service" ? selectingService(object) : undefined;
    if (service === undefined) continue;
    const beside = found.get(namespace);
    if (beside === undefined) found.set(namespace, [service]);
    else beside.push(service);
  }
  return found;
}

interface GatewayServers {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: ServerPorts;
}

const gatewaySpec = z.object({
  selector: z.record(z.string(), z.string()).default({}),
  servers: z.array(z.object({ port: z.object({ number: z.number() }) })).default([]),
});

/** One that cannot be read has no ports: its diagnostics say why. */
function gatewayServers(objects: ReadonlyMap<string, ClusterFile>): readonly GatewayServers[] {
  return [...objects.values()].flatMap(({ kind, object }) => {
    const read = kind.kind === "Gateway" ? gatewaySpec.safeParse(object.spec ?? {}) : undefined;
    return read?.success ? [{ selector: read.data.selector, ports: read.data.servers.map(({ port }) => port.number) }] : [];
  });
}

/** Istio lets a selector reach over namespaces; an empty one selects every gateway proxy. */
function serverPortsFor(gateways: readonly GatewayServers[], { labels }: Pod): ServerPorts {
  const serving = gateways.filter(({ selector }) => Object.entries(selector).every(([key, value]) => labels[key] === value));
  return [...new Set(serving.flatMap(({ ports }) => ports))].sort((a, b) => a - b);
}
