// From a Kubernetes Service and what runs to a host: its name, its ports with their protocols, and the endpoints behind each port.
import { compareText, type Diagnostic } from "../model/diagnostic.ts";
import type { ServicePort } from "../model/kubernetes.ts";
import { type KubernetesService, resourceLabel } from "../model/resource.ts";
import { compareEndpoints } from "./endpoints.ts";
import { serviceExportTo } from "./hosts.ts";
import type { Instance } from "./instance.ts";
import type { Endpoint, Host, HostPort, PortProtocol } from "./mesh.ts";
import { serviceAccountsOf } from "./mutual-tls.ts";
import type { Selection } from "./selection.ts";
import { inlineInstance, isDescribed, isIpAddress, weightOf } from "./workload-entries.ts";

/** Of what stands behind a Service that selects nothing: the label that Kubernetes puts on its EndpointSlices. */
export const SLICE_SERVICE_LABEL = "kubernetes.io/service-name";

interface ServiceHost {
  readonly host: Host;
  readonly diagnostics: readonly Diagnostic[];
}

const KNOWN = new WeakMap<KubernetesService, { readonly selected: readonly Instance[]; readonly domain: string; readonly made: ServiceHost }>();

/**
 * The host of one Service, and what is said about it. `select` finds pods and WorkloadEntries alike. A mesh is built at each change, and few changes concern
 * this Service or what it selects: then it is the same host.
 */
export function serviceHost(service: KubernetesService, select: Selection, domain: string): ServiceHost {
  const { name, namespace, spec } = service;
  const selector = Object.keys(spec.selector).length === 0 ? { [SLICE_SERVICE_LABEL]: name } : spec.selector;
  const selected = select(namespace, selector);
  const known = KNOWN.get(service);
  const same = known?.domain === domain && known.selected.length === selected.length && known.selected.every((instance, index) => instance === selected[index]);
  if (known !== undefined && same) return known.made;
  const made = makeHost(service, selected, domain);
  KNOWN.set(service, { selected, domain, made });
  return made;
}

function makeHost(service: KubernetesService, all: readonly Instance[], domain: string): ServiceHost {
  const { name, namespace, spec } = service;
  const hostname = `${name}.${namespace}.svc.${domain}`.toLowerCase();
  const about = {
    hostname,
    name,
    namespace,
    ports: spec.ports.map(hostPort),
    exportTo: serviceExportTo(service.annotations),
    addresses: spec.clusterIP === undefined || spec.clusterIP === "None" ? [] : [spec.clusterIP],
    subjectAltNames: [],
    service,
  };
  if (spec.type === "ExternalName") return { host: { ...about, ...elsewhere(service), serviceAccounts: [] }, diagnostics: [] };
  // A Service has addresses only; names and sockets serve ServiceEntries.
  const selected = all.filter(({ address }) => isIpAddress(address));
  const ready = selected.filter((instance) => instance.ready);
  const behindPorts = (instances: readonly Instance[]) => new Map(spec.ports.map((port) => [port.port, endpointsOf(port, instances)]));
  const endpoints = behindPorts(ready.filter(({ intercept }) => intercept === undefined));
  const apart = ready.filter(({ intercept }) => intercept !== undefined);
  const intercepted = apart.length === 0 ? {} : { intercepted: behindPorts(apart) };
  return {
    host: { ...about, endpoints, ...intercepted, resolution: "known", external: false, serviceAccounts: serviceAccountsOf(selected) },
    diagnostics: [...headless(service), ...portNamesNobodyHas(service, selected)],
  };
}

/** A Service that is another name for something outside: found by DNS. */
function elsewhere({ name, namespace, spec }: KubernetesService): Pick<Host, "endpoints" | "resolution" | "external"> {
  const instance = inlineInstance({ address: (spec.externalName ?? "").toLowerCase(), ports: {}, labels: {} }, name, namespace, 0);
  const endpoints = new Map(
    spec.ports.map((port): [number, readonly Endpoint[]] => {
      const target = typeof port.targetPort === "number" ? port.targetPort : port.port;
      return [port.port, instance.ready ? [{ instance, address: instance.address, port: target, weight: 1 }] : []];
    }),
  );
  return { endpoints, resolution: "dns", external: true };
}

function endpointsOf(port: ServicePort, ready: readonly Instance[]): readonly Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const instance of ready) {
    const target = targetOf(port, instance);
    if (target !== undefined) endpoints.push({ instance, address: instance.address, port: target, weight: weightOf(instance) });
  }
  return endpoints.sort(compareEndpoints);
}

/**
 * Where an instance serves a Service's port; undefined: nowhere. What a WorkloadEntry says about the port by its name in the Service comes first, as in
 * Istio (kube controller, convertWorkloadInstance); one that says nothing listens where the Service says.
 */
function targetOf(port: ServicePort, instance: Instance): number | undefined {
  const wanted = port.targetPort ?? port.port;
  const described = isDescribed(instance);
  const ofName = (name: string | undefined): number | undefined => instance.ports.find((declared) => name !== undefined && declared.name === name)?.boundPort;
  if (typeof wanted === "string") return ofName(wanted);
  if (described) return ofName(port.name) ?? wanted;
  return instance.ports.find(({ containerPort }) => containerPort === wanted)?.boundPort;
}

function hostPort(port: ServicePort): HostPort {
  return { name: port.name ?? "", number: port.port, protocol: protocolOf(port), targetPort: port.targetPort ?? port.port };
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
  return protocolNamed(port.appProtocol) ?? protocolOfName(port.name) ?? "http";
}

/** The protocol that a port's name begins with. */
export function protocolOfName(written: string | undefined): PortProtocol | undefined {
  const name = (written ?? "").toLowerCase();
  return protocolNamed(name) ?? (name.startsWith("grpc-web-") ? "http" : protocolNamed(name.split("-")[0]));
}

/** A protocol by the name that Kubernetes or Istio has for it. */
export function protocolNamed(written: string | undefined): PortProtocol | undefined {
  const name = (written ?? "").toLowerCase();
  return Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
}

/** Whether a port is served by routes rather than by connections. */
export function isHttp(protocol: PortProtocol): boolean {
  return protocol === "http" || protocol === "http2" || protocol === "grpc";
}

function headless(service: KubernetesService): readonly Diagnostic[] {
  if (service.spec.clusterIP !== "None") return [];
  return [
    {
      code: "WEFT0412",
      severity: "warning",
      origin: service.locate(["spec", "clusterIP"]),
      resource: resourceLabel(service),
      what: "a headless Service is served like any other: requests are balanced, single pods have no names",
      fix: "leave clusterIP out if that is wanted",
    },
  ];
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
