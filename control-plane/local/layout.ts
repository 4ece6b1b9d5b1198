// Where everything of one instance or gateway listens, and what the mesh and other programs are told of it. Pure: it asks the address space and nothing else.
import { join } from "node:path";
import type { GatewayPort, Instance, ListenAddress, Locality, Proxy } from "../mesh/instance.ts";
import type { Attachment } from "../model/local-run.ts";
import { HTTP_PROXY_ROUTE, serviceRouteName } from "../translate/names.ts";
import type { AddressSpace } from "./address-space.ts";
import type { ReadyGateway, ReadyWorkload } from "./events.ts";
import type { Desired, DesiredHost, DesiredWorkload } from "./protocol.ts";

const ADMIN_PORT = 15_000;
const HTTP_PROXY_PORT = 15_001;
const EXPLAIN_PORT = 15_002;

/** Who an instance is: all that does not change while it runs. */
export interface InstanceIdentity {
  readonly name: string;
  readonly ordinal: number;
  readonly workload: DesiredWorkload;
  readonly locality: Locality;
  /** Default: a program. */
  readonly role?: InstanceRole;
}

/** What is behind an instance: a program with a sidecar, a stub without one, or a program that somebody else runs, with a sidecar. */
export type InstanceRole = { readonly kind: "program" } | { readonly kind: "stub" } | { readonly kind: "attached"; readonly attachment: Attachment };

/** Everything that an instance listens on, apart from its service listeners. */
export interface InstancePlaces {
  readonly address: string;
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly inbound: ListenAddress; readonly application: ListenAddress }[];
  /** `${PORT}`: the first port's, or one of its own where the workload declares none. */
  readonly application: ListenAddress;
  readonly admin: ListenAddress;
  readonly httpProxy: ListenAddress;
  readonly httpProxyExplain: ListenAddress;
}

export interface LogPaths {
  readonly application: string;
  readonly access: string;
  readonly envoy: string;
}

/** `product-a-1`, with its namespace where that is not the default one: names files and addresses. */
export function slotName(namespace: string, name: string): string {
  return namespace === "default" ? name : `${name}.${namespace}`;
}

export function logPathsOf(folder: string, slot: string): LogPaths {
  return { application: join(folder, `${slot}.log`), access: join(folder, `${slot}.access.log`), envoy: join(folder, `${slot}.envoy.log`) };
}

/** The inbound ports come first, so that nothing of ours takes a port of the workload's. */
export function placesOf(addresses: AddressSpace, { name, workload, role }: InstanceIdentity): InstancePlaces {
  const owner = `${workload.namespace}/${name}`;
  // What somebody runs by hand has one port.
  const declared = role?.kind === "attached" ? workload.ports.slice(0, 1) : workload.ports;
  const ports = declared.map((port) => ({ ...port, inbound: addresses.inbound(owner, port.containerPort) }));
  const application = (containerPort: number | undefined) => (role?.kind === "attached" ? role.attachment.attach : addresses.application(owner, containerPort));
  const admin = addresses.listen(owner, "admin", ADMIN_PORT);
  return {
    address: admin.address,
    // A stub has no sidecar in front of it.
    ports: ports.map((port) => ({ ...port, application: role?.kind === "stub" ? port.inbound : application(port.containerPort) })),
    application: (role?.kind === "stub" ? ports[0]?.inbound : undefined) ?? application(ports[0]?.containerPort),
    admin,
    httpProxy: addresses.listen(owner, "http-proxy", HTTP_PROXY_PORT),
    httpProxyExplain: addresses.listen(owner, "explain http-proxy", EXPLAIN_PORT),
  };
}

/** Where an instance reaches one port of a service, and where that is explained. */
export function servicePlace(
  addresses: AddressSpace,
  identity: InstanceIdentity,
  host: DesiredHost,
  port: number,
): { readonly listen: ListenAddress; readonly explain: ListenAddress } {
  return addresses.service(`${identity.workload.namespace}/${identity.name}`, host.hostname, port);
}

function sidecarId({ name, workload }: InstanceIdentity): string {
  return `${name}.${workload.namespace}`;
}

/** The instance as the mesh sees it. */
export function instanceOf(identity: InstanceIdentity, places: InstancePlaces, ready: boolean): Instance {
  const { name, workload, locality, role } = identity;
  const intercept = role?.kind === "attached" ? role.attachment.intercept : undefined;
  return {
    name,
    namespace: workload.namespace,
    workload: workload.name,
    labels: workload.labels,
    serviceAccount: serviceAccountOf(workload),
    locality,
    address: places.address,
    ports: places.ports.map((port) => ({
      containerPort: port.containerPort,
      boundPort: port.inbound.port,
      ...(port.name === undefined ? {} : { name: port.name }),
    })),
    ready,
    hasSidecar: role?.kind !== "stub",
    ...(intercept === undefined ? {} : { intercept }),
  };
}

/** The sidecar as the mesh sees it, with a listener for each port of each of `hosts`. */
export function sidecarOf(
  addresses: AddressSpace,
  identity: InstanceIdentity,
  places: InstancePlaces,
  hosts: readonly DesiredHost[],
  accessLogPath: string,
): Proxy {
  const { workload, locality } = identity;
  const listeners = hosts.flatMap((host) => host.ports.map((port) => ({ host, port: port.number, ...servicePlace(addresses, identity, host, port.number) })));
  return {
    id: sidecarId(identity),
    kind: "sidecar",
    namespace: workload.namespace,
    labels: workload.labels,
    workload: workload.name,
    serviceAccount: serviceAccountOf(workload),
    locality,
    inbound: places.ports.map(({ containerPort, inbound, application }) => ({ containerPort, listen: inbound, application })),
    outbound: listeners.map(({ host, port, listen, explain }) => ({
      hostname: host.hostname,
      port,
      listen,
      ...(explain.address === listen.address ? {} : { explainAddress: explain.address }),
      explainPort: explain.port,
    })),
    httpProxy: { ...places.httpProxy, explainPort: places.httpProxyExplain.port },
    gatewayPorts: [],
    ...(addresses.capture === undefined ? {} : { captures: true, capture: addresses.capture }),
    metrics: "all",
    accessLogPath,
  };
}

/** The instance as `ready` tells it to other programs. Process ids are 0 while nothing runs; what a stub has not is empty. */
export function readyWorkload(
  identity: InstanceIdentity,
  places: InstancePlaces,
  proxy: Proxy | undefined,
  logs: LogPaths,
  pids: { readonly application: number; readonly envoy: number },
  networkNamespace?: string,
): ReadyWorkload {
  const { name, workload, locality } = identity;
  const named = (proxy?.outbound ?? []).map((listener) => ({ name: serviceRouteName(listener.hostname, listener.port), ...listener }));
  return {
    workload: workload.name,
    namespace: workload.namespace,
    instance: name,
    zone: locality.zone,
    address: places.address,
    pid: pids.application,
    url: urlOf(places.ports[0]?.inbound ?? places.application),
    ...(networkNamespace === undefined ? {} : { networkNamespace }),
    log: logs.application,
    accessLog: proxy === undefined ? "" : logs.access,
    sidecar: proxy === undefined ? NO_SIDECAR : { id: proxy.id, pid: pids.envoy, admin: urlOf(places.admin), log: logs.envoy },
    httpProxy: proxy === undefined ? "" : urlOf(places.httpProxy),
    services: Object.fromEntries(named.map((listener) => [listener.name, urlOf(listener.listen)])),
    explain: {
      ...Object.fromEntries(
        named.map((listener) => [listener.name, urlOf({ address: listener.explainAddress ?? listener.listen.address, port: listener.explainPort })]),
      ),
      ...(proxy === undefined ? {} : { [HTTP_PROXY_ROUTE]: urlOf(places.httpProxyExplain) }),
    },
  };
}

const NO_SIDECAR: ReadyWorkload["sidecar"] = { id: "", pid: 0, admin: "", log: "" };

/** A gateway proxy: one per distinct selector. */
export interface GatewayIdentity {
  /** `istio=ingressgateway`. */
  readonly name: string;
  /** `istio-ingressgateway`: names its files. */
  readonly slot: string;
  readonly id: string;
  readonly namespace: string;
  readonly selector: Readonly<Record<string, string>>;
}

export function gatewayIdentity({ selector, namespace }: Desired["gateways"][number]): GatewayIdentity {
  const labels = Object.entries(selector).sort(([a], [b]) => (a < b ? -1 : 1));
  const slot =
    labels
      .flat()
      .join("-")
      .replace(/[^A-Za-z0-9.-]/g, "-") || "gateway";
  return { name: labels.map((label) => label.join("=")).join(","), slot, id: `${slot}.${namespace}`, namespace, selector };
}

export function gatewayAdmin(addresses: AddressSpace, identity: GatewayIdentity): ListenAddress {
  return addresses.listen(`gateway ${identity.slot}`, "admin", ADMIN_PORT);
}

/** The gateway as the mesh sees it. A laptop's gateway is in no zone: it has no node. */
export function gatewayOf(identity: GatewayIdentity, ports: readonly GatewayPort[], accessLogPath: string): Proxy {
  return {
    id: identity.id,
    kind: "gateway",
    namespace: identity.namespace,
    labels: identity.selector,
    workload: identity.slot,
    serviceAccount: "default",
    locality: { region: "", zone: "", subzone: "" },
    inbound: [],
    outbound: [],
    gatewayPorts: ports,
    metrics: "all",
    accessLogPath,
  };
}

/** The gateway as `ready` tells it. */
export function readyGateway(identity: GatewayIdentity, admin: ListenAddress, ports: readonly GatewayPort[], logs: LogPaths, pid: number): ReadyGateway {
  return {
    name: identity.name,
    namespace: identity.namespace,
    id: identity.id,
    pid,
    admin: urlOf(admin),
    log: logs.envoy,
    accessLog: logs.access,
    ports: ports.map(({ number, listen, explainPort }) => ({ number, url: urlOf(listen), explain: urlOf({ address: listen.address, port: explainPort }) })),
  };
}

/** `http://address:port`. */
export function urlOf({ address, port }: ListenAddress): string {
  return `http://${address}:${port}`;
}

function serviceAccountOf({ spec }: DesiredWorkload): string {
  return spec.template.spec.serviceAccountName ?? "default";
}
