// What a mesh whose instances are network namespaces looks like to the system: addresses, names, and the very commands. Pure.
import type { DesiredHost } from "../protocol.ts";

/** All connections out of an instance are redirected here, all connections to it there (Istio's ports). */
export const CAPTURE = { outboundPort: 15_001, inboundPort: 15_006 } as const;

/** The group of the proxies' processes, Istio's number: connections of theirs are not redirected again. */
export const PROXY_GROUP = 1_337;

/** The N of 127.N.0.0/16, which a mesh has claimed, names all that is its own: 10.N.0.0/16, `weft-N-…`, `weftN…`. */
export interface IsolatedMesh {
  readonly network: number;
}

/** One instance in a namespace of its own. */
export interface IsolatedInstance {
  /** `product-a-1`, with its namespace where that is not the default one. */
  readonly slot: string;
  /** Unique in the mesh, from 1: names its link. */
  readonly index: number;
  readonly address: string;
  /** Whether a proxy stands beside the program, so that connections are redirected to it. */
  readonly redirected: boolean;
}

const HOSTS = 254;

/** Instances have 10.N.0.1 and up, services 10.N.128.1 and up. */
export function instanceAddress({ network }: IsolatedMesh, index: number): string {
  return `10.${network}.${Math.floor((index - 1) / HOSTS)}.${1 + ((index - 1) % HOSTS)}`;
}

/** What a name of a service resolves to, like a ClusterIP: nothing answers there, and connections to it are redirected. */
export function serviceAddress({ network }: IsolatedMesh, index: number): string {
  return `10.${network}.${128 + Math.floor((index - 1) / HOSTS)}.${1 + ((index - 1) % HOSTS)}`;
}

/** This machine on the mesh's bridge: gateways call from here, and the control plane is reached here. */
export function machineAddress({ network }: IsolatedMesh): string {
  return `10.${network}.255.254`;
}

/** Whence programs are asked whether they are ready: the one place that reaches them past their proxies. */
export function probeAddress({ network }: IsolatedMesh): string {
  return `10.${network}.255.253`;
}

/** Programs that somebody runs by hand on this machine, outside of every namespace. */
export function attachedAddress({ network }: IsolatedMesh, index: number): string {
  return `10.${network}.254.${index}`;
}

export function bridgeName({ network }: IsolatedMesh): string {
  return `weft${network}`;
}

/** The name by which `ip netns exec` finds an instance's namespace. */
export function namespaceName({ network }: IsolatedMesh, slot: string): string {
  return `weft-${network}-${slot}`;
}

/** Another name of the same namespace, for the proxy (no name of Kubernetes has an underscore): there the names of services are not the program's, so that hosts outside are resolved as they are. */
export function proxyNamespaceName(mesh: IsolatedMesh, slot: string): string {
  return `${namespaceName(mesh, slot)}_proxy`;
}

/** The mesh that a namespace belongs to; undefined for one that is not Weft's. */
export function networkOfNamespace(name: string): number | undefined {
  const [, network] = /^weft-(\d+)-/.exec(name) ?? [];
  return network === undefined ? undefined : Number(network);
}

/** Lines for `ip -batch -`: the bridge with this machine's addresses. The first address is the one from which this machine calls. */
export function bridgeCommands(mesh: IsolatedMesh): readonly string[] {
  const bridge = bridgeName(mesh);
  return [
    `link add ${bridge} type bridge`,
    `addr add ${machineAddress(mesh)}/16 dev ${bridge}`,
    `addr add ${probeAddress(mesh)}/16 dev ${bridge}`,
    `link set ${bridge} up`,
  ];
}

/** Lines for `ip -batch -`: the namespace, and a link from it to the bridge. */
export function instanceCommands(
  mesh: IsolatedMesh,
  { slot, index, address }: IsolatedInstance,
): { readonly machine: readonly string[]; readonly inside: readonly string[] } {
  const name = namespaceName(mesh, slot);
  const link = `${bridgeName(mesh)}v${index}`;
  return {
    machine: [
      `netns add ${name}`,
      `link add ${link} type veth peer name eth0 netns ${name}`,
      `link set ${link} master ${bridgeName(mesh)}`,
      `link set ${link} up`,
    ],
    inside: ["link set lo up", `addr add ${address}/16 dev eth0`, "link set eth0 up", `route add default via ${machineAddress(mesh)}`],
  };
}

/**
 * Rules of a namespace for `iptables-restore`, as Istio's for a pod. Nobody but this machine reaches the proxy's own ports. Source: Istio, tools/istio-iptables.
 */
export function redirectRules(mesh: IsolatedMesh, { address }: IsolatedInstance): string {
  const machine = `10.${mesh.network}.255.252/30`;
  return `*mangle
-A PREROUTING -i eth0 -p tcp --dport 15000:15999 ! -s ${machine} -j DROP
COMMIT
*nat
-A PREROUTING -i eth0 -p tcp --dport 15000:15999 -j RETURN
-A PREROUTING -i eth0 -s ${probeAddress(mesh)} -j RETURN
-A PREROUTING -i eth0 -p tcp -j REDIRECT --to-ports ${CAPTURE.inboundPort}
-A OUTPUT -p tcp -m owner --gid-owner ${PROXY_GROUP} -j RETURN
-A OUTPUT -p tcp -d 127.0.0.0/8 -j RETURN
-A OUTPUT -p tcp -d ${address}/32 -j RETURN
-A OUTPUT -p tcp -j REDIRECT --to-ports ${CAPTURE.outboundPort}
COMMIT
`;
}

/** Rules of this machine, each as arguments of `iptables -A` (or `-D`) with its table: instances reach each other and the world outside. */
export function machineRules(mesh: IsolatedMesh): readonly { readonly table: string; readonly rule: readonly string[] }[] {
  const subnet = `10.${mesh.network}.0.0/16`;
  const mark = ["-m", "comment", "--comment", `weft-${mesh.network}`];
  return [
    { table: "nat", rule: ["POSTROUTING", "-s", subnet, "!", "-d", subnet, ...mark, "-j", "MASQUERADE"] },
    { table: "filter", rule: ["FORWARD", "-i", bridgeName(mesh), ...mark, "-j", "ACCEPT"] },
    { table: "filter", rule: ["FORWARD", "-o", bridgeName(mesh), ...mark, "-j", "ACCEPT"] },
  ];
}

/** `/etc/hosts` of an instance: every name by which a program in a cluster may call a service of the mesh. */
export function hostsFile(
  instance: { readonly name: string; readonly namespace: string; readonly address: string },
  hosts: readonly (DesiredHost & { readonly address: string })[],
): string {
  const lines = hosts.flatMap((host) => {
    const names = namesOf(host, instance.namespace);
    return names.length === 0 ? [] : [`${host.address} ${names.join(" ")}`];
  });
  return ["127.0.0.1 localhost", "::1 localhost ip6-localhost", `${instance.address} ${instance.name}`, ...lines, ""].join("\n");
}

/** The full name, and the short ones of a Service; a wildcard is no name. */
function namesOf({ hostname, name, namespace }: DesiredHost, from: string): readonly string[] {
  if (hostname.includes("*")) return [];
  if (!hostname.startsWith(`${name}.${namespace}.svc.`)) return [hostname];
  return [hostname, `${name}.${namespace}.svc`, `${name}.${namespace}`, ...(namespace === from ? [name] : [])];
}
