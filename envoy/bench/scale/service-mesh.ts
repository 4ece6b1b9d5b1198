// A mesh of a given size as files and as what runs: N services with 10 endpoints each in 3 zones, a VirtualService and a DestinationRule each, and the
// proxies that call them. Pure; nothing of it is ever started.
import type { Instance, Locality, Proxy } from "../../../control-plane/mesh/instance.ts";

export interface MeshSize {
  readonly services: number;
  readonly proxies: number;
  /** What the proxies may see: everything, or the 10 services that a Sidecar resource names. */
  readonly scope: "unscoped" | "sidecar";
  /** Whether each proxy has a listener for each service, as `weft up` without interception; else it has the HTTP proxy port alone. */
  readonly serviceListeners?: boolean;
}

export interface SizedMesh {
  /** By path below the folder. */
  readonly files: ReadonlyMap<string, string>;
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
}

const ENDPOINTS = 10;
const SCOPED_SERVICES = 10;
const ZONES: readonly Locality[] = ["a", "b", "c"].map((zone) => ({ region: "eu-west-1", zone: `eu-west-1${zone}`, subzone: "" }));

/** The mesh of this size. Equal sizes give equal meshes. */
export function meshOfSize(size: MeshSize): SizedMesh {
  const files = new Map<string, string>();
  for (let index = 0; index < size.services; index++) files.set(serviceFile(index), serviceYaml(index, 90));
  files.set("mesh.yaml", size.scope === "sidecar" ? SIDECAR : UNSCOPED);
  const instances = Array.from({ length: size.services * ENDPOINTS }, (_, index) => instanceAt(Math.floor(index / ENDPOINTS), index % ENDPOINTS));
  return { files, instances, proxies: Array.from({ length: size.proxies }, (_, index) => proxyAt(index, size)) };
}

/** Where the resources of a service stand. */
export function serviceFile(index: number): string {
  return `${serviceName(index)}.yaml`;
}

/** A Service, its VirtualService (`weight` to v1, the rest to v2) and its DestinationRule. */
export function serviceYaml(index: number, weight: number): string {
  const name = serviceName(index);
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  selector: {app: ${name}}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}]
  http:
    - name: primary
      route:
        - {destination: {host: ${name}, subset: v1}, weight: ${weight}}
        - {destination: {host: ${name}, subset: v2}, weight: ${100 - weight}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec:
  host: ${name}
  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
`;
}

/** A host of the mesh, as a workload in the same namespace calls it. */
export function serviceName(index: number): string {
  return `service-${String(index).padStart(5, "0")}`;
}

function instanceAt(service: number, ordinal: number): Instance {
  const name = serviceName(service);
  const number = service * ENDPOINTS + ordinal;
  return {
    name: `${name}-${ordinal}`,
    namespace: "default",
    workload: name,
    labels: { app: name, version: ordinal % 2 === 0 ? "v1" : "v2" },
    serviceAccount: "default",
    locality: zoneAt(ordinal),
    address: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
    ports: [{ name: "http", containerPort: 8080, boundPort: 8080 }],
    ready: true,
    hasSidecar: true,
  };
}

function proxyAt(index: number, { services, serviceListeners = false }: MeshSize): Proxy {
  const address = `127.${64 + (index >> 8)}.${index & 255}.1`;
  const outbound = Array.from({ length: serviceListeners ? services : 0 }, (_, service) => ({
    hostname: `${serviceName(service)}.default.svc.cluster.local`,
    port: 80,
    listen: { address, port: 20_000 + service },
    explainPort: 40_000 + service,
  }));
  return {
    id: `client-${index}.default`,
    kind: "sidecar",
    namespace: "default",
    labels: { app: "client" },
    workload: "client",
    serviceAccount: "default",
    locality: zoneAt(index),
    inbound: [{ containerPort: 8080, listen: { address, port: 8080 }, application: { address, port: 9000 } }],
    outbound,
    httpProxy: { address, port: 15_001, explainPort: 15_002 },
    gatewayPorts: [],
  };
}

function zoneAt(index: number): Locality {
  return ZONES[index % ZONES.length] ?? { region: "", zone: "", subzone: "" };
}

const SIDECAR = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec:
  egress:
    - hosts: [${Array.from({ length: SCOPED_SERVICES }, (_, index) => `./${serviceName(index)}.default.svc.cluster.local`).join(", ")}]
`;

/** Said, whatever the default may be. */
const UNSCOPED = `apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {scope: all}
`;
