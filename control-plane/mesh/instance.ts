// What runs: instances (a pod, or a local process that stands for one) and the proxies beside them.
// They come from outside the YAML: from the local runner, or from the Kubernetes API.

/** Where something runs. Empty strings where unknown; equal strings mean the same place. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** One running copy of a workload, and a potential endpoint of every Service whose selector its labels satisfy. */
export interface Instance {
  /** Unique in its namespace: `product-a-1`. */
  readonly name: string;
  readonly namespace: string;
  /** The Deployment it belongs to: `product-a`. */
  readonly workload: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly locality: Locality;
  /** Where other proxies reach it (its own inbound sidecar, if it has one). */
  readonly address: string;
  readonly ports: readonly InstancePort[];
  /** False: not (yet, or no longer) to be given requests. */
  readonly ready: boolean;
  readonly hasSidecar: boolean;
  /** Given the requests with exactly this header that would go to its services, and no others. */
  readonly intercept?: Intercept;
}

/** The header that marks the requests of one person; its name in lower case. */
export interface Intercept {
  readonly header: string;
  readonly value: string;
}

/** A port that the workload's containers declare. */
export interface InstancePort {
  /** As in the YAML; Services may refer to it by this name. */
  readonly name?: string;
  /** As in the YAML: `containerPort`. */
  readonly containerPort: number;
  /** Where it is reached at the instance's address; differs from `containerPort` only where that one is privileged. */
  readonly boundPort: number;
}

/** One Envoy of the mesh and where it must listen. Pure input to translation: the same proxy always gets the same resources. */
export interface Proxy {
  /** Node id on the xDS stream. */
  readonly id: string;
  readonly kind: "sidecar" | "gateway";
  readonly namespace: string;
  /** The workload's labels; a gateway's labels are what Gateway selectors look for (`istio: ingressgateway`). */
  readonly labels: Readonly<Record<string, string>>;
  readonly workload: string;
  readonly serviceAccount: string;
  readonly locality: Locality;
  /** Its workload's connections are redirected to it, so that it knows where they were going; absent: programs call its listeners by their addresses. */
  readonly captures?: boolean;
  /** The file with the roots that its machine trusts; absent: where Debian has it. */
  readonly systemRoots?: string;
  readonly inbound: readonly InboundPort[];
  readonly outbound: readonly ServiceListener[];
  /** The HTTP proxy port (`HTTP_PROXY`), where the authority is real; sidecars only. */
  readonly httpProxy?: ListenAddress & { readonly explainPort: number };
  /** Gateways only: where a Gateway's server ports are bound. */
  readonly gatewayPorts: readonly GatewayPort[];
  /** Where the system redirects all connections of the proxy's network namespace, on their way out and in; absent where nothing is redirected. */
  readonly capture?: Capture;
  /** What it counts under Istio's names, for Prometheus; `requests` leaves out the bytes of HTTP. Absent: nothing. */
  readonly metrics?: "all" | "requests";
  /** Access log of every listener of this proxy: a path, or undefined for none. */
  readonly accessLogPath?: string;
}

/** How connections of a network namespace are redirected to its proxy. */
export interface Capture {
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Whence the proxy calls its own workload, where only that address is not redirected once more. */
  readonly inboundSource?: string;
  /** Connections to any host's addresses are redirected, so that the proxy listens for each that is not told apart by its requests. */
  readonly byAddress?: true;
}

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
  /** Nothing is bound there: the system redirects connections to it to one of the proxy's capture ports. */
  readonly captured?: true;
}

/** Traffic to the workload: the sidecar listens where the world expects the instance, and forwards to the application. */
export interface InboundPort {
  readonly containerPort: number;
  readonly listen: ListenAddress;
  readonly application: ListenAddress;
}

/** Traffic from the workload to one port of one service, at an address of its own (design: a local program without interception). */
export interface ServiceListener {
  /** Fully qualified: `order-history.default.svc.cluster.local`. */
  readonly hostname: string;
  readonly port: number;
  readonly listen: ListenAddress;
  /** Of the explain listener; default: that of `listen`. */
  readonly explainAddress?: string;
  /** The loopback-only explain listener of the same route configuration, at the same address. */
  readonly explainPort: number;
}

/** A Gateway's server port (as in the YAML) and where it is really bound. */
export interface GatewayPort {
  readonly number: number;
  readonly listen: ListenAddress;
  /** Of the explain listener; default: that of `listen`. */
  readonly explainAddress?: string;
  readonly explainPort: number;
}

/** `ap-northeast-2/ap-northeast-2a`, without trailing empty parts; `""` where nothing is known. */
export function localityText(locality: Locality): string {
  return [locality.region, locality.zone, locality.subzone].join("/").replace(/\/+$/, "");
}
