// The mesh as one graph: hosts, their ports and endpoints, and the rules that apply to them. Built afresh from its input, never changed.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { MeshConfigSpec } from "../model/mesh-config.ts";
import type {
  AuthorizationPolicy,
  DestinationRule,
  Gateway,
  KubernetesService,
  PeerAuthentication,
  RequestAuthentication,
  Resources,
  Secret,
  ServiceEntry,
  Sidecar,
  VirtualService,
} from "../model/resource.ts";
import type { Instance, Proxy } from "./instance.ts";

/** All that a mesh is a function of. */
export interface MeshInput {
  readonly resources: Resources;
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  /** The cluster domain: services are `<name>.<namespace>.svc.<domain>`. */
  readonly domain: string;
  /** False: proxies have no certificates of the mesh, so that they call each other in plain text. Default: they have. */
  readonly certificates?: boolean;
  /** Files that Gateways name for certificates and that are known not to be on the machine of the gateway; where that is not known, none. */
  readonly absentFiles?: ReadonlySet<string>;
}

/** Decides how a port's traffic is read. Source: Istio, protocol selection (appProtocol, then the port name's prefix, else HTTP by sniffing: Weft takes http). */
export type PortProtocol = "http" | "http2" | "grpc" | "tcp" | "tls" | "udp";

export interface HostPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: PortProtocol;
  /** Where the endpoints listen, as the Service or ServiceEntry says: a number, or the name of a container's port. */
  readonly targetPort?: number | string;
}

/** How the endpoints of a host are found. Source: Istio reference, ServiceEntry.Resolution. */
export type Resolution =
  /** Those that the mesh knows. */
  | "known"
  /** Whatever the connection was going to. */
  | "original"
  /** All addresses of the endpoints' names. */
  | "dns"
  /** One address after the other of one name. */
  | "dns-round-robin"
  /** The name that the request is for, one of many that a wildcard covers. */
  | "dynamic-dns";

/** One instance's port that serves a host's port. */
export interface Endpoint {
  /** A pod or local process, or what a WorkloadEntry says about something else. */
  readonly instance: Instance;
  /** An IP address; a DNS name where the host is found by DNS; `unix:///path`, and then `port` is 0. */
  readonly address: string;
  readonly port: number;
  /** Share among the endpoints of its place, 1 where nothing is said. */
  readonly weight: number;
  /** It is called in plain text where the mesh would speak mutual TLS. */
  readonly plain?: boolean;
}

/** A name that requests can be sent to, with what stands behind it. */
export interface Host {
  /** Fully qualified; only a ServiceEntry may have a wildcard (`*.example.com`). */
  readonly hostname: string;
  /** The Service's name; the hostname where a ServiceEntry made it. */
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly HostPort[];
  /** Ready endpoints by port number, sorted by address and port. */
  readonly endpoints: ReadonlyMap<number, readonly Endpoint[]>;
  /** Ready endpoints that are given only the requests of their intercept, likewise; absent where there are none. */
  readonly intercepted?: ReadonlyMap<number, readonly Endpoint[]>;
  readonly resolution: Resolution;
  /** Namespaces that see it; empty: all. */
  readonly exportTo: readonly string[];
  /** Outside of the mesh: its endpoints have no sidecars. */
  readonly external: boolean;
  /** IP addresses and ranges that a ServiceEntry says stand for it. */
  readonly addresses: readonly string[];
  /** Names that the endpoints' certificates may carry, as a ServiceEntry says. */
  readonly subjectAltNames: readonly string[];
  /** `namespace/account` of what stands behind it with a sidecar, ready or not, in byte order. */
  readonly serviceAccounts: readonly string[];
  /** The host that a Service of type ExternalName is another name of, where the mesh knows that one. */
  readonly aliasOf?: string;
  /** What made it. */
  readonly service: KubernetesService | ServiceEntry;
}

/** The DestinationRules of one namespace for one host, as one. */
export interface MergedRule extends DestinationRule {
  /** What it was merged from: the first is the one whose name, labels and place it carries. */
  readonly from: readonly [DestinationRule, ...DestinationRule[]];
}

export interface Mesh {
  readonly settings: MeshConfigSpec;
  readonly domain: string;
  /** Whether proxies have certificates of the mesh; without them every connection within it is plain. */
  readonly certificates: boolean;
  /** By hostname, in byte order. Of hosts of one name in several namespaces the one that counts where a namespace has none of its own. */
  readonly hosts: ReadonlyMap<string, Host>;
  /** All hosts of a name that several namespaces have, in order of precedence. */
  readonly namesakes: ReadonlyMap<string, readonly Host[]>;
  /** In the order in which their routes apply: (namespace, name). */
  readonly virtualServices: readonly VirtualService[];
  /** By fully qualified host (wildcards included), merged, in order of precedence. */
  readonly destinationRules: ReadonlyMap<string, readonly MergedRule[]>;
  /** Those of its keys that are wildcards, the most specific first. */
  readonly destinationRuleWildcards: readonly string[];
  readonly gateways: readonly Gateway[];
  /** Certificates that Gateways may name. */
  readonly secrets: readonly Secret[];
  /** Absolute paths of files that are named for certificates and are not there. */
  readonly absentFiles: ReadonlySet<string>;
  /** In the order in which they are asked: those with a workloadSelector first. */
  readonly sidecars: readonly Sidecar[];
  /** Who may call whom; each of the three kinds in order of precedence. */
  readonly authorizationPolicies: readonly AuthorizationPolicy[];
  readonly requestAuthentications: readonly RequestAuthentication[];
  readonly peerAuthentications: readonly PeerAuthentication[];
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  readonly diagnostics: readonly Diagnostic[];
}
