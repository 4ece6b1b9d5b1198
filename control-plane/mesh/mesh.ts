// The mesh as one graph: hosts, their ports and endpoints, and the rules that apply to them. Built afresh from its input, never changed.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { MeshConfigSpec } from "../model/mesh-config.ts";
import type { DestinationRule, Gateway, KubernetesService, Resources, VirtualService } from "../model/resource.ts";
import type { Instance, Proxy } from "./instance.ts";

/** All that a mesh is a function of. */
export interface MeshInput {
  readonly resources: Resources;
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  /** The cluster domain: services are `<name>.<namespace>.svc.<domain>`. */
  readonly domain: string;
}

/** Decides how a port's traffic is read. Source: Istio, protocol selection (appProtocol, then the port name's prefix, else HTTP by sniffing: Weft takes http). */
export type PortProtocol = "http" | "http2" | "grpc" | "tcp" | "tls" | "udp";

export interface HostPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: PortProtocol;
}

/** One instance's port that serves a host's port. */
export interface Endpoint {
  readonly instance: Instance;
  readonly address: string;
  readonly port: number;
}

/** A name that requests can be sent to, with what stands behind it. */
export interface Host {
  /** Fully qualified. */
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly HostPort[];
  /** Ready endpoints by port number, sorted by address and port. */
  readonly endpoints: ReadonlyMap<number, readonly Endpoint[]>;
  /** Ready endpoints that are given only the requests of their intercept, likewise; absent where there are none. */
  readonly intercepted?: ReadonlyMap<number, readonly Endpoint[]>;
  readonly service: KubernetesService;
}

export interface Mesh {
  readonly settings: MeshConfigSpec;
  readonly domain: string;
  /** By hostname, in byte order. */
  readonly hosts: ReadonlyMap<string, Host>;
  /** In the order in which their routes apply: (namespace, name). */
  readonly virtualServices: readonly VirtualService[];
  /** By fully qualified host (wildcards included), in (namespace, name) order. */
  readonly destinationRules: ReadonlyMap<string, readonly DestinationRule[]>;
  /** Those of its keys that are wildcards, the most specific first. */
  readonly destinationRuleWildcards: readonly string[];
  readonly gateways: readonly Gateway[];
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  readonly diagnostics: readonly Diagnostic[];
}
