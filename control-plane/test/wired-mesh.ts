// A mesh from a piece of YAML whose proxies listen: each sidecar at an address per service, gateways where their servers ask. For golden cases and real Envoys.
import type { GatewayPort, InboundPort, Instance, ListenAddress, Proxy, ServiceListener } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { gatewayProxy, meshOf, resourcesOf } from "./mesh-of.ts";

export interface Wiring {
  /** First two bytes of every address; default `127.80`. */
  readonly network?: string;
  /** Whether sidecars offer the HTTP proxy port. */
  readonly httpProxy: boolean;
  readonly accessLogPath?: string;
  /** What differs from "all replicas run and are ready". */
  readonly change?: (instance: Instance) => Instance;
  /** Where an instance's application listens; default beside its sidecar. */
  readonly application?: (instance: string, port: InboundPort) => ListenAddress;
}

/** Service ports below 1024 are bound 8000 higher, as on a laptop. */
function bound(port: number): number {
  return port < 1024 ? port + 8_000 : port;
}

/** The mesh with every proxy wired. Equal YAML gives equal addresses. */
export function wiredMesh(yaml: string, wiring: Wiring): Mesh {
  const { network = "127.80" } = wiring;
  const change = (instance: Instance): Instance => ({
    ...(wiring.change?.(instance) ?? instance),
    address: instance.address.replace(/^127\.80/, network),
  });
  const servers = resourcesOf(yaml).gateways.flatMap(({ spec }) => spec.servers.map(({ port }) => port.number));
  const numbers = [...new Set(servers)].sort((a, b) => a - b);
  const gateways = numbers.length === 0 ? [] : [gatewayProxy("ap-northeast-2a")];
  const mesh = meshOf(yaml, { change, gateways });
  let sidecars = 0;
  const proxies = mesh.proxies.map((proxy) =>
    proxy.kind === "gateway" ? wireGateway(proxy, numbers, network, wiring) : wireSidecar(mesh, proxy, `${network}.${224 + sidecars++}`, wiring),
  );
  return { ...mesh, proxies };
}

function wireGateway(proxy: Proxy, numbers: readonly number[], network: string, { accessLogPath }: Wiring): Proxy {
  const gatewayPorts = numbers.map(
    (number, index): GatewayPort => ({ number, listen: { address: `${network}.223.1`, port: bound(number) }, explainPort: 15_090 + index }),
  );
  return { ...proxy, gatewayPorts, ...(accessLogPath === undefined ? {} : { accessLogPath }) };
}

function wireSidecar(mesh: Mesh, proxy: Proxy, network: string, { httpProxy, accessLogPath, application }: Wiring): Proxy {
  const outbound = [...mesh.hosts.values()].flatMap((host, hostIndex) =>
    host.ports.map(({ number }, portIndex): ServiceListener => {
      const listen = { address: `${network}.${hostIndex + 2}`, port: bound(number) };
      return { hostname: host.hostname, port: number, listen, explainPort: 15_090 + portIndex };
    }),
  );
  const instance = proxy.id.slice(0, -proxy.namespace.length - 1);
  return {
    ...proxy,
    outbound,
    inbound: application === undefined ? proxy.inbound : proxy.inbound.map((port) => ({ ...port, application: application(instance, port) })),
    ...(httpProxy ? { httpProxy: { address: `${network}.1`, port: 15_001, explainPort: 15_002 } } : {}),
    ...(accessLogPath === undefined ? {} : { accessLogPath }),
  };
}
