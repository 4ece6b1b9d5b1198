// Names of Envoy resources. They stand in logs, statistics and `weft explain`, so they are stable and Istio's where Istio has one.

/** What identifies a destination: one Envoy cluster each. */
export interface ClusterKey {
  readonly port: number;
  readonly subset: string;
  readonly hostname: string;
  /** Set where traffic is split over zones: the same endpoints, this zone preferred. */
  readonly zone?: string;
}

/** Istio's cluster name, `outbound|80|v1|reviews.default.svc.cluster.local`, with `;zone=b` appended for a zone cluster. */
export function outboundClusterName(key: ClusterKey): string {
  const base = `outbound|${key.port}|${key.subset}|${key.hostname}`;
  return key.zone === undefined ? base : `${base};zone=${key.zone}`;
}

/** The cluster that forwards to the application beside the proxy. */
export function inboundClusterName(containerPort: number): string {
  return `inbound|${containerPort}||`;
}

/** Where unknown names go under ALLOW_ANY. */
export const PASSTHROUGH_CLUSTER = "PassthroughCluster";

/** Where connections to addresses that the mesh does not know go, with `--isolate`: to that very address under ALLOW_ANY, nowhere under REGISTRY_ONLY. */
export const ORIGINAL_CLUSTER = "OriginalDestinationCluster";
export const BLACK_HOLE_CLUSTER = "BlackHoleCluster";
/** Where connections to ports of a workload go that it does not declare, likewise. */
export const INBOUND_ORIGINAL_CLUSTER = "InboundOriginalDestinationCluster";

/** Route configuration of one port of one service, for a listener that serves only this service. */
export function serviceRouteName(hostname: string, port: number): string {
  return `${hostname}:${port}`;
}

/** Route configuration of the HTTP proxy port; its virtual hosts come by VHDS. */
export const HTTP_PROXY_ROUTE = "http-proxy";

/**
 * Under automatic scope, the route configuration whose virtual hosts a proxy asks for, each when it is first called: of the HTTP proxy port, or of a port
 * whose connections are captured.
 */
export function onDemandRouteName(port?: number): string {
  return port === undefined ? ON_DEMAND : `${ON_DEMAND}|${port}`;
}

const ON_DEMAND = "on-demand";

export function isOnDemandRoute(name: string): boolean {
  return name === ON_DEMAND || name.startsWith(`${ON_DEMAND}|`);
}

/** What a proxy asks for on demand. */
export interface AskedHost {
  readonly route: string;
  /** Of the captured connection; undefined at the HTTP proxy port. */
  readonly port: number | undefined;
  /** Of the request, in lower case, with the port that stood there. */
  readonly authority: string;
}

/** Reads the name of a virtual host; undefined where none of its kind is asked for on demand. */
export function askedHost(virtualHost: string): AskedHost | undefined {
  const slash = virtualHost.lastIndexOf("/");
  const route = virtualHost.slice(0, Math.max(0, slash));
  if (!isOnDemandRoute(route)) return undefined;
  const [, port] = route.split("|");
  return { route, port: port === undefined ? undefined : Number(port), authority: virtualHost.slice(slash + 1) };
}

/** Route configuration of a gateway's server port (Istio's name). */
export function gatewayRouteName(port: number): string {
  return `http.${port}`;
}

/** A VHDS resource is named after the route configuration it belongs to. */
export function virtualHostName(routeConfiguration: string, host: string): string {
  return `${routeConfiguration}/${host}`;
}

/** ECDS names of the two configurations of the filter: deciding, and explaining. */
export const FILTER = "weft";
export const EXPLAIN_FILTER = "weft-explain";
/** Marks a local reply of an inbound sidecar: `unsent` (UF, UO, UH: the application never saw the request) or `reset` (UC). */
export const RETRY_MARKER_HEADER = "x-weft-retry";
export const PICK_HEADER = "x-weft-pick";

/** SDS names of a proxy's own certificate with its key, and of the roots that it trusts (Istio's names). The certificate authority supplies both. */
export const LEAF_SECRET = "default";
export const ROOTS_SECRET = "ROOTCA";

/** SDS name of a Secret's certificate with its key, for gateways (Istio's form, with the namespace). */
export function gatewaySecretName({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `kubernetes://${namespace}/${name}`;
}

/** SDS name of a Secret's CA, by which clients are judged. */
export function clientCaSecretName(secret: { readonly namespace: string; readonly name: string }): string {
  return `${gatewaySecretName(secret)}-cacert`;
}

/** Route configuration of one HTTPS server of a Gateway (Istio's name). */
export function httpsRouteName(port: number, portName: string, gateway: { readonly namespace: string; readonly name: string }): string {
  return `https.${port}.${portName}.${gateway.name}.${gateway.namespace}`;
}
