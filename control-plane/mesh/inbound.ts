// What is known about a workload's own port: which protocol its Services say it speaks.
import type { Instance, Proxy } from "./instance.ts";
import type { Host, HostPort, Mesh, PortProtocol } from "./mesh.ts";
import { scopeOf } from "./scope.ts";
import { selects } from "./selection.ts";
import { protocolNamed, protocolOfName } from "./services.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * The protocol of a container port behind a proxy: what its Sidecar's ingress listener says, else the first Service or ServiceEntry (by hostname) that leads
 * to it; HTTP where nothing does.
 */
export function inboundProtocol(mesh: Mesh, proxy: Proxy, containerPort: number): PortProtocol {
  const ingress = scopeOf(mesh, proxy).ingress.find(({ port }) => port.number === containerPort)?.port;
  if (ingress !== undefined) return protocolNamed(ingress.protocol) ?? protocolOfName(ingress.name) ?? "http";
  return leadingTo(mesh, proxy, containerPort)?.port.protocol ?? "http";
}

/** The service that a container port behind a proxy is counted for: the first (by hostname) that leads to it. */
export function inboundService(mesh: Mesh, proxy: Proxy, containerPort: number): Host | undefined {
  return leadingTo(mesh, proxy, containerPort)?.host;
}

function leadingTo(mesh: Mesh, proxy: Proxy, containerPort: number): { readonly host: Host; readonly port: HostPort } | undefined {
  const { selectors, instances } = indexOf(mesh);
  const instance = instances.get(`${proxy.namespace}/${proxy.workload}`);
  const found = Object.entries(proxy.labels)
    .flatMap(([key, value]) => selectors.get(`${proxy.namespace}\n${key}\n${value}`) ?? [])
    .filter(({ selector }) => selects(selector, proxy.labels))
    .sort((a, b) => a.position - b.position);
  for (const { host } of found) {
    const port = host.ports.find(({ targetPort, number }) => leadsTo(targetPort ?? number, containerPort, instance));
    if (port !== undefined) return { host, port };
  }
  return undefined;
}

/** A host that selects what is behind it, at its place among all. */
interface Selector {
  readonly selector: Labels;
  readonly host: Host;
  readonly position: number;
}

interface InboundIndex {
  /** By namespace and the first label that they ask for: what selects a proxy is among a handful. */
  readonly selectors: ReadonlyMap<string, readonly Selector[]>;
  /** One of each workload. */
  readonly instances: ReadonlyMap<string, Instance>;
}

const INDEXES = new WeakMap<Mesh, InboundIndex>();

function indexOf(mesh: Mesh): InboundIndex {
  const known = INDEXES.get(mesh);
  if (known !== undefined) return known;
  const selectors = new Map<string, Selector[]>();
  let position = 0;
  for (const host of [...mesh.hosts.values()].flatMap((host) => mesh.namesakes.get(host.hostname) ?? [host])) {
    const { namespace, service } = host;
    const selector = service.kind === "Service" ? service.spec.selector : (service.spec.workloadSelector?.labels ?? {});
    const [first] = Object.entries(selector);
    if (first === undefined) continue;
    const key = `${namespace}\n${first[0]}\n${first[1]}`;
    const group = selectors.get(key) ?? [];
    selectors.set(key, group);
    group.push({ selector, host, position: position++ });
  }
  const index = { selectors, instances: new Map([...mesh.instances].reverse().map((instance) => [`${instance.namespace}/${instance.workload}`, instance])) };
  INDEXES.set(mesh, index);
  return index;
}

function leadsTo(targetPort: number | string, containerPort: number, instance: Instance | undefined): boolean {
  if (typeof targetPort === "number") return targetPort === containerPort;
  return instance?.ports.some((port) => port.name === targetPort && port.containerPort === containerPort) ?? false;
}
