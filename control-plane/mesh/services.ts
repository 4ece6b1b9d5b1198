// From Kubernetes Services and running instances to hosts: names, ports with their protocols, and the endpoints behind each port.
import { compareText, type Diagnostic } from "../model/diagnostic.ts";
import type { ServicePort } from "../model/kubernetes.ts";
import { type KubernetesService, resourceLabel } from "../model/resource.ts";
import type { Instance, InstancePort } from "./instance.ts";
import type { Endpoint, Host, HostPort, PortProtocol } from "./mesh.ts";

/** Hosts of all Services that are built, by name in byte order, and what is said about the others. */
export function buildHosts(
  services: readonly KubernetesService[],
  instances: readonly Instance[],
  domain: string,
): { readonly hosts: ReadonlyMap<string, Host>; readonly diagnostics: readonly Diagnostic[] } {
  const selectable = indexByLabel(instances);
  const diagnostics: Diagnostic[] = [];
  const hosts: Host[] = [];
  for (const service of services) {
    diagnostics.push(...notBuilt(service));
    if (service.spec.type === "ExternalName") continue;
    const selected = selectable(service);
    diagnostics.push(...portNamesNobodyHas(service, selected));
    hosts.push(buildHost(service, selected, domain));
  }
  hosts.sort((a, b) => compareText(a.hostname, b.hostname));
  return { hosts: new Map(hosts.map((host) => [host.hostname, host])), diagnostics };
}

function buildHost(service: KubernetesService, selected: readonly Instance[], domain: string): Host {
  const { name, namespace, spec } = service;
  const ready = selected.filter((instance) => instance.ready);
  const intercepting = ready.filter(({ intercept }) => intercept !== undefined);
  const byPort = (members: readonly Instance[]) => new Map<number, readonly Endpoint[]>(spec.ports.map((port) => [port.port, endpointsOf(port, members)]));
  const endpoints = byPort(ready.filter(({ intercept }) => intercept === undefined));
  const intercepted = intercepting.length === 0 ? {} : { intercepted: byPort(intercepting) };
  return { hostname: `${name}.${namespace}.svc.${domain}`.toLowerCase(), name, namespace, ports: spec.ports.map(hostPort), endpoints, ...intercepted, service };
}

function endpointsOf(port: ServicePort, ready: readonly Instance[]): readonly Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const instance of ready) {
    const target = targetOf(port, instance);
    if (target !== undefined) endpoints.push({ instance, address: instance.address, port: target.boundPort });
  }
  return endpoints.sort((a, b) => compareText(a.address, b.address) || a.port - b.port || compareText(a.instance.name, b.instance.name));
}

function targetOf(port: ServicePort, instance: Instance): InstancePort | undefined {
  const wanted = port.targetPort ?? port.port;
  return typeof wanted === "string" ? instance.ports.find(({ name }) => name === wanted) : instance.ports.find(({ containerPort }) => containerPort === wanted);
}

function hostPort(port: ServicePort): HostPort {
  return { name: port.name ?? "", number: port.port, protocol: protocolOf(port) };
}

/** What Kubernetes and Istio call the protocols, to what Weft tells apart. Source: Istio, "Protocol Selection". */
const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  http: "http",
  "kubernetes.io/ws": "http",
  http2: "http2",
  "kubernetes.io/h2c": "http2",
  grpc: "grpc",
  "grpc-web": "http",
  tcp: "tcp",
  mongo: "tcp",
  mysql: "tcp",
  redis: "tcp",
  tls: "tls",
  https: "tls",
  "kubernetes.io/wss": "tls",
  udp: "udp",
};

/** The protocol of a Service's port: `appProtocol`, else the name or its prefix before a dash, else HTTP. */
export function protocolOf(port: Pick<ServicePort, "name" | "protocol" | "appProtocol">): PortProtocol {
  if (port.protocol === "UDP") return "udp";
  const name = (port.name ?? "").toLowerCase();
  const candidates = [port.appProtocol?.toLowerCase() ?? "", name, name.startsWith("grpc-web-") ? "grpc-web" : "", name.split("-")[0] ?? ""];
  for (const candidate of candidates) {
    const protocol = Object.hasOwn(PROTOCOLS, candidate) ? PROTOCOLS[candidate] : undefined;
    if (protocol !== undefined) return protocol;
  }
  return "http";
}

/** Whether a port is served by routes rather than by connections. */
export function isHttp(protocol: PortProtocol): boolean {
  return protocol === "http" || protocol === "http2" || protocol === "grpc";
}

/** Whether labels satisfy a selector; an empty selector selects nothing, as in a Service. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

/** Finds what a Service selects by its rarest label, so that many Services with many instances do not multiply. */
function indexByLabel(instances: readonly Instance[]): (service: KubernetesService) => readonly Instance[] {
  const byLabel = new Map<string, Instance[]>();
  const keyOf = (namespace: string, key: string, value: string): string => `${namespace}\n${key}\n${value}`;
  for (const instance of instances) {
    for (const [key, value] of Object.entries(instance.labels)) {
      const label = keyOf(instance.namespace, key, value);
      const group = byLabel.get(label);
      if (group === undefined) byLabel.set(label, [instance]);
      else group.push(instance);
    }
  }
  return ({ namespace, spec: { selector } }) => {
    const groups = Object.entries(selector).map(([key, value]) => byLabel.get(keyOf(namespace, key, value)) ?? []);
    const rarest = groups.reduce<readonly Instance[] | undefined>(
      (best, group) => (best === undefined || group.length < best.length ? group : best),
      undefined,
    );
    return (rarest ?? []).filter(({ labels }) => selects(selector, labels));
  };
}

function notBuilt(service: KubernetesService): readonly Diagnostic[] {
  const at = (field: string, what: string, fix: string): readonly Diagnostic[] => [
    { code: "WEFT0412", severity: "warning", origin: service.locate(["spec", field]), resource: resourceLabel(service), what, fix },
  ];
  if (service.spec.type === "ExternalName") {
    return at("type", "Services of type ExternalName are not built yet, so its name is unknown to the mesh", "call the external name itself");
  }
  if (service.spec.clusterIP === "None") {
    return at(
      "clusterIP",
      "a headless Service is served like any other: requests are balanced, single pods have no names",
      "leave clusterIP out if that is wanted",
    );
  }
  return [];
}

/** A `targetPort` by name that none of the selected instances declares leaves the port without endpoints. */
function portNamesNobodyHas(service: KubernetesService, selected: readonly Instance[]): readonly Diagnostic[] {
  if (selected.length === 0) return [];
  return service.spec.ports.flatMap((port, index): readonly Diagnostic[] => {
    if (selected.some((instance) => targetOf(port, instance) !== undefined)) return [];
    const wanted = port.targetPort ?? port.port;
    const declared = [
      ...new Set(
        selected.flatMap(({ ports }) => ports.map(({ name, containerPort }) => (name === undefined ? `${containerPort}` : `${name} (${containerPort})`))),
      ),
    ];
    return [
      {
        code: "WEFT0414",
        severity: "warning",
        origin: service.locate(["spec", "ports", index, "targetPort"]),
        resource: resourceLabel(service),
        what: `no container of the selected workloads declares port ${wanted}, so port ${port.port} has no endpoints`,
        fix:
          declared.length === 0
            ? `declare containerPort ${wanted} in the Deployment`
            : `use one of ${declared.sort(compareText).join(", ")}, or declare the port in the Deployment`,
      },
    ];
  });
}
