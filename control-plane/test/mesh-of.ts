// A mesh from a piece of YAML, for tests: the Deployments in it run, each replica with a sidecar, without a process being started.
import { buildMesh } from "../mesh/build.ts";
import type { Instance, InstancePort, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { type AnyResource, type Deployment, type Resources, resourceLabel } from "../model/resource.ts";
import { parseFile } from "../source/parse-file.ts";

/** What differs from "all replicas run and are ready". */
export interface Running {
  /** Instances to be left out or changed, by name (`order-history-a-1`). */
  readonly change?: (instance: Instance) => Instance | undefined;
  readonly gateways?: readonly Proxy[];
}

/** Parses and builds. Throws where the YAML has an error, since the test then tests something else than it says. */
export function meshOf(yaml: string, running: Running = {}): Mesh {
  const resources = resourcesOf(yaml);
  const instances = resources.deployments
    .flatMap(replicas)
    .flatMap((instance) => running.change?.(instance) ?? (running.change === undefined ? [instance] : []));
  const proxies = [...instances.filter(({ hasSidecar }) => hasSidecar).map(sidecarOf), ...(running.gateways ?? [])];
  return buildMesh({ resources, instances, proxies, domain: "cluster.local" });
}

/** The resources of one file, by kind. Throws where the file has an error. */
export function resourcesOf(yaml: string): Resources {
  const { resources, diagnostics } = parseFile("in.yaml", yaml);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(errors.map(({ what, origin }) => `${origin.line}: ${what}`).join("\n"));
  const ofKind = <Kind extends AnyResource["kind"]>(kind: Kind): readonly Extract<AnyResource, { kind: Kind }>[] =>
    resources.filter((resource): resource is Extract<AnyResource, { kind: Kind }> => resource.kind === kind);
  return {
    virtualServices: ofKind("VirtualService"),
    destinationRules: ofKind("DestinationRule"),
    gateways: ofKind("Gateway"),
    serviceEntries: ofKind("ServiceEntry"),
    workloadEntries: ofKind("WorkloadEntry"),
    workloadGroups: ofKind("WorkloadGroup"),
    sidecars: ofKind("Sidecar"),
    authorizationPolicies: ofKind("AuthorizationPolicy"),
    peerAuthentications: ofKind("PeerAuthentication"),
    requestAuthentications: ofKind("RequestAuthentication"),
    envoyFilters: ofKind("EnvoyFilter"),
    proxyConfigs: ofKind("ProxyConfig"),
    telemetries: ofKind("Telemetry"),
    wasmPlugins: ofKind("WasmPlugin"),
    trafficExtensions: ofKind("TrafficExtension"),
    secrets: ofKind("Secret"),
    services: ofKind("Service"),
    deployments: ofKind("Deployment"),
    namespaces: ofKind("Namespace"),
    meshConfigs: ofKind("MeshConfig"),
    localRuns: ofKind("LocalRun"),
  };
}

/** The sidecar of the first instance of a workload. Throws where none runs. */
export function sidecar(mesh: Mesh, workload: string): Proxy {
  const found = mesh.proxies.find((proxy) => proxy.kind === "sidecar" && proxy.workload === workload);
  if (found === undefined) throw new Error(`no sidecar of ${workload} among ${mesh.proxies.map(({ id }) => id).join(", ")}`);
  return found;
}

/** A gateway proxy with the usual label, in a zone. */
export function gatewayProxy(zone: string, labels: Readonly<Record<string, string>> = { istio: "ingressgateway" }): Proxy {
  return {
    id: `gateway-${zone}`,
    kind: "gateway",
    namespace: "weft-system",
    labels,
    workload: "gateway",
    serviceAccount: "default",
    locality: { region: regionOf(zone), zone, subzone: "" },
    inbound: [],
    outbound: [],
    gatewayPorts: [],
  };
}

/** A Deployment of one container with one port, for YAML that is put together. */
export function deployment(name: string, labels: string, zone: string, replicaCount = 1, port = 9090): string {
  return `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicaCount}
  selector: {matchLabels: {${labels}}}
  template:
    metadata: {labels: {${labels}}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: ${zone}}
      containers:
        - {name: main, image: "main:1", ports: [{name: http, containerPort: ${port}}]}
`;
}

function replicas(resource: Deployment): readonly Instance[] {
  const { name, namespace, spec } = resource;
  const zone = spec.template.spec.nodeSelector["topology.kubernetes.io/zone"] ?? "";
  const ports = spec.template.spec.containers.flatMap((container) =>
    container.ports.map(
      ({ name: portName, containerPort }): InstancePort => ({
        ...(portName === undefined ? {} : { name: portName }),
        containerPort,
        boundPort: containerPort < 1024 ? containerPort + 8000 : containerPort,
      }),
    ),
  );
  return Array.from({ length: spec.replicas }, (_, index) => ({
    name: `${name}-${index + 1}`,
    namespace,
    workload: name,
    labels: spec.template.metadata.labels,
    serviceAccount: spec.template.spec.serviceAccountName ?? "default",
    locality: { region: regionOf(zone), zone, subzone: "" },
    address: addressOf(`${resourceLabel(resource)}-${index + 1}`),
    ports,
    ready: true,
    hasSidecar: true,
  }));
}

function sidecarOf(instance: Instance): Proxy {
  const { name, namespace, labels, workload, serviceAccount, locality, ports, address } = instance;
  const inbound = ports.map(({ containerPort, boundPort }) => ({
    containerPort,
    listen: { address, port: boundPort },
    application: { address, port: boundPort + 20_000 },
  }));
  return { id: `${name}.${namespace}`, kind: "sidecar", namespace, labels, workload, serviceAccount, locality, inbound, outbound: [], gatewayPorts: [] };
}

/** Cloud zones carry their region: `ap-northeast-2a` is in `ap-northeast-2`. */
function regionOf(zone: string): string {
  return zone.replace(/[a-z]$/, "");
}

/** A stable address per name, so that adding a workload moves no other. */
function addressOf(name: string): string {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 65_521;
  return `127.80.${hash >> 8}.${hash & 255}`;
}
