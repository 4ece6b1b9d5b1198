// A pod as an instance of the mesh, and its proxy: the pod, where its node stands and what selects it in; the values that the runner of `weft up` makes of
// processes out. Pure.
import type { GatewayPort, InboundPort, Instance, InstancePort, Locality, Proxy } from "../mesh/instance.ts";
import type { Pod } from "./pod.ts";
import { INBOUND_SOURCE, POD_PORTS } from "./pod-contract.ts";
import type { SelectingService } from "./service-ports.ts";

const LOOPBACK = "127.0.0.1";
const EVERYWHERE = "0.0.0.0";
/** The pod's own, on loopback: for programs that know HTTP_PROXY, and for questions of `weft explain`. */
const HTTP_PROXY = { address: LOOPBACK, port: 15_002, explainPort: 15_003 } as const;
/** Explain listeners of a gateway's ports, one after the other. */
const GATEWAY_EXPLAIN_PORT = 15_300;

/** `product-a-7d9f.default`: what `--service-node` says in the pod. */
export function proxyIdOf({ name, namespace }: Pick<Pod, "name" | "namespace">): string {
  return `${name}.${namespace}`;
}

/** Undefined while the pod has no address. */
export function instanceOfPod(pod: Pod, locality: Locality, services: readonly SelectingService[]): Instance | undefined {
  if (pod.address === "") return undefined;
  const { name, namespace, workload, labels, serviceAccount, address, ready } = pod;
  return {
    name,
    namespace,
    workload,
    labels,
    serviceAccount,
    locality,
    address,
    ports: portsOf(pod, services),
    ready,
    // What comes to a gateway is not for the mesh's certificates.
    hasSidecar: pod.proxy === "sidecar",
  };
}

/** `containerPort` informs in Kubernetes, it permits nothing: a Service reaches an undeclared port by its number. */
function portsOf(pod: Pod, services: readonly SelectingService[]): readonly InstancePort[] {
  const ports = new Map<number, InstancePort>();
  for (const { name, containerPort } of pod.ports) {
    if (!ports.has(containerPort)) ports.set(containerPort, { containerPort, boundPort: containerPort, ...(name === undefined ? {} : { name }) });
  }
  for (const { targetPort } of services.flatMap((service) => service.ports)) {
    if (typeof targetPort === "number" && !ports.has(targetPort)) ports.set(targetPort, { containerPort: targetPort, boundPort: targetPort });
  }
  return [...ports.values()].sort((a, b) => a.containerPort - b.containerPort);
}

export interface ProxySurroundings {
  readonly locality: Locality;
  /** Those that select the pod. */
  readonly services: readonly SelectingService[];
  /** Ports of all servers of the Gateways that select the pod, in ascending order. */
  readonly serverPorts: readonly number[];
  /** Of every listener; none where it is undefined. */
  readonly accessLogPath?: string;
}

/** Undefined for a pod without a proxy, or without an address yet. */
export function proxyOfPod(pod: Pod, { locality, services, serverPorts, accessLogPath }: ProxySurroundings): Proxy | undefined {
  if (pod.proxy === undefined || pod.address === "") return undefined;
  const about = {
    id: proxyIdOf(pod),
    kind: pod.proxy,
    namespace: pod.namespace,
    labels: pod.labels,
    workload: pod.workload,
    serviceAccount: pod.serviceAccount,
    locality,
    metrics: "all" as const,
    ...(accessLogPath === undefined ? {} : { accessLogPath }),
  };
  if (pod.proxy === "gateway") return { ...about, inbound: [], outbound: [], gatewayPorts: gatewayPorts(serverPorts, services) };
  return {
    ...about,
    inbound: portsOf(pod, services).map(({ containerPort }) => inboundPort(pod, containerPort)),
    // Requests are told apart by their authority, connections by the addresses of hosts: no listener is one workload's own.
    outbound: [],
    httpProxy: HTTP_PROXY,
    gatewayPorts: [],
    captures: true,
    capture: { outboundPort: POD_PORTS.outbound, inboundPort: POD_PORTS.inbound, inboundSource: INBOUND_SOURCE, byAddress: true },
  };
}

function inboundPort({ address }: Pod, containerPort: number): InboundPort {
  return { containerPort, listen: { address, port: containerPort, captured: true }, application: { address, port: containerPort } };
}

/**
 * A Gateway's server port is the port of the Service in front of the gateway: it is bound where that leads; a port that no Service has is bound itself.
 * Source: Istio reference, Gateway; pilot/pkg/networking/core/gateway.go.
 */
function gatewayPorts(serverPorts: readonly number[], services: readonly SelectingService[]): readonly GatewayPort[] {
  const ports = services.flatMap((service) => service.ports);
  return serverPorts.map((number, index) => {
    const target = ports.find(({ port }) => port === number)?.targetPort;
    const port = typeof target === "number" ? target : number;
    return { number, listen: { address: EVERYWHERE, port }, explainAddress: LOOPBACK, explainPort: GATEWAY_EXPLAIN_PORT + index };
  });
}
