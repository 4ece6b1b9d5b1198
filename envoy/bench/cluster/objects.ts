// What a cluster of a given size holds, as objects of the Kubernetes API: services with pods in three zones, and the pods among them that have proxies. Pure.
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { STATUS_ANNOTATION, statusText } from "../../../control-plane/kubernetes/inject/status.ts";
import { serviceName, serviceYaml } from "../scale/service-mesh.ts";

export interface ClusterSize {
  readonly services: number;
  readonly podsPerService: number;
  /** So many services have a pod with a proxy. */
  readonly proxies: number;
}

/** An object, and the collection that it is posted to. */
export interface Posted {
  readonly collection: string;
  readonly object: { readonly metadata: { readonly name: string } };
}

export interface BenchPod extends Posted {
  readonly name: string;
  readonly address: string;
}

const NETWORKING = "/apis/networking.istio.io/v1/namespaces/default";
const COLLECTIONS: Readonly<Record<string, string>> = {
  Service: "/api/v1/namespaces/default/services",
  VirtualService: `${NETWORKING}/virtualservices`,
  DestinationRule: `${NETWORKING}/destinationrules`,
  Sidecar: `${NETWORKING}/sidecars`,
};
const ZONES = ["a", "b", "c"] as const;
const SCOPED_SERVICES = 10;

/** Sees all services; every other proxy sees the first ten. */
export const WIDE_PROXY = "wide-0.default";

const document = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });

function posted(yaml: string): readonly Posted[] {
  return parseAllDocuments(yaml).map((parsed) => {
    const object = document.parse(parsed.toJS());
    return { collection: COLLECTIONS[object.kind] ?? "", object };
  });
}

/** A node in each zone. */
export function nodes(): readonly Posted[] {
  return ZONES.map((zone) => ({
    collection: "/api/v1/nodes",
    object: {
      metadata: { name: `node-${zone}`, labels: { "topology.kubernetes.io/region": "eu-west-1", "topology.kubernetes.io/zone": `eu-west-1${zone}` } },
    },
  }));
}

/** A Service, a VirtualService and a DestinationRule each. */
export function services({ services: count }: ClusterSize): readonly Posted[] {
  return Array.from({ length: count }, (_, index) => posted(serviceYaml(index, 90))).flat();
}

/** What narrows all proxies but one to ten services. */
export function scopes(): readonly Posted[] {
  const hosts = Array.from({ length: SCOPED_SERVICES }, (_, index) => `./${serviceName(index)}.default.svc.cluster.local`);
  const sidecar = (name: string, spec: object): Posted => ({
    collection: COLLECTIONS.Sidecar ?? "",
    object: Object.assign({ apiVersion: "networking.istio.io/v1", kind: "Sidecar", metadata: { name } }, { spec }),
  });
  return [sidecar("default", { egress: [{ hosts }] }), sidecar("wide", { workloadSelector: { labels: { app: "wide" } }, egress: [{ hosts: ["./*"] }] })];
}

/** The pods of all services, and the one that sees them all. */
export function pods({ services: count, podsPerService, proxies }: ClusterSize): readonly BenchPod[] {
  const ofServices = Array.from({ length: count * podsPerService }, (_, number) => {
    const [service, ordinal] = [Math.floor(number / podsPerService), number % podsPerService];
    const app = serviceName(service);
    return pod(`${app}-${ordinal}`, { app, version: ordinal % 2 === 0 ? "v1" : "v2" }, number, ordinal === 0 && service < proxies);
  });
  return [...ofServices, pod("wide-0", { app: "wide" }, count * podsPerService, true)];
}

function pod(name: string, labels: Readonly<Record<string, string>>, number: number, hasProxy: boolean): BenchPod {
  const status = statusText({ version: "bench", revision: "default", kind: "sidecar", initContainers: [], containers: [], volumes: [] });
  return {
    name,
    address: `10.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`,
    collection: "/api/v1/namespaces/default/pods",
    object: Object.assign(
      { metadata: { name, labels, ...(hasProxy ? { annotations: { [STATUS_ANNOTATION]: status } } : {}) } },
      { spec: { nodeName: `node-${ZONES[number % ZONES.length]}`, containers: [{ name: "main", image: "main:1", ports: [{ containerPort: 8080 }] }] } },
    ),
  };
}

/** The pod's status, as a kubelet says it. */
export function podStatus({ address }: BenchPod, ready: boolean): object {
  const is = ready ? "True" : "False";
  return {
    status: {
      phase: "Running",
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: ["Ready", "ContainersReady"].map((type) => ({ type, status: is })),
    },
  };
}

/** Ids of the proxies. */
export function proxyIds({ proxies }: ClusterSize): readonly string[] {
  return Array.from({ length: proxies }, (_, index) => `${serviceName(index)}-0.default`);
}
