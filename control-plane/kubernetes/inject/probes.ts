// The kubelet's probes of an application, which a sidecar that demands mutual TLS would refuse: the containers' probes come in; probes that ask the sidecar's
// own port, and the listener there that puts the very same question to the application, go out. The listener stands in the bootstrap, so that it needs no
// control plane. Pure.
import { INBOUND_SOURCE, POD_PORTS } from "../pod-contract.ts";
import { LISTENER_STATISTICS, staticListener } from "./own-listeners.ts";
import type { PodContainer, PodProbe } from "./pod.ts";

export interface RewrittenProbes {
  readonly containers: readonly PodContainer[];
  readonly listeners: readonly object[];
  readonly clusters: readonly object[];
  /** What cannot be asked past the sidecar, a sentence each. */
  readonly warnings: readonly string[];
}

/** Field of the container, and Istio's word for it in the path. */
const PROBES = [
  ["livenessProbe", "livez"],
  ["readinessProbe", "readyz"],
  ["startupProbe", "startupz"],
] as const;

interface Target {
  readonly port: number;
  readonly tls: boolean;
  readonly http2: boolean;
}

interface Question {
  readonly path: string;
  readonly target: Target;
  /** What the application is asked. */
  readonly asks: string;
  readonly setHost: boolean;
}

/** `podAddress` is what Kubernetes replaces by the pod's address. */
export function rewriteProbes(containers: readonly PodContainer[], podAddress: string): RewrittenProbes {
  const questions: Question[] = [];
  const warnings: string[] = [];
  const grpcPorts = [...new Set(containers.flatMap((container) => PROBES.flatMap(([field]) => container[field]?.grpc?.port ?? [])))];
  const rewritten = containers.map((container) => {
    const changed: Partial<Record<(typeof PROBES)[number][0], PodProbe>> = {};
    for (const [field, word] of PROBES) {
      const probe = container[field];
      if (probe === undefined) continue;
      const { httpGet, grpc, tcpSocket } = probe;
      const where = `${field} of the container ${container.name}`;
      if (tcpSocket !== undefined)
        warnings.push(`${where} opens a connection, which the sidecar accepts whether the application lives or not: let it ask by HTTP or gRPC`);
      if (grpc !== undefined && grpcPorts.length > 1)
        warnings.push(`${where} asks by gRPC at one of several ports, and the sidecar can stand for one only: it fails where mutual TLS is required`);
      else if (grpc !== undefined) {
        questions.push({ path: GRPC_HEALTH, target: { port: grpc.port, tls: false, http2: true }, asks: GRPC_HEALTH, setHost: true });
        changed[field] = { ...probe, grpc: { ...grpc, port: POD_PORTS.probes } };
      }
      if (httpGet === undefined) continue;
      const port = portOf(container, httpGet.port);
      if (httpGet.host !== undefined && httpGet.host !== "") continue;
      if (port === undefined) {
        warnings.push(`${where} asks at the port ${httpGet.port}, which the container does not declare`);
        continue;
      }
      if (port === POD_PORTS.probes) continue;
      const path = `/app-health/${container.name}/${word}`;
      const setHost = !(httpGet.httpHeaders ?? []).some(({ name }) => name.toLowerCase() === "host");
      questions.push({ path, target: { port, tls: httpGet.scheme === "HTTPS", http2: false }, asks: slashed(httpGet.path ?? "/"), setHost });
      const { scheme: _, ...rest } = httpGet;
      changed[field] = { ...probe, httpGet: { ...rest, path, port: POD_PORTS.probes } };
    }
    return { ...container, ...changed };
  });
  return { containers: rewritten, ...listenerFor(questions, podAddress), warnings };
}

const GRPC_HEALTH = "/grpc.health.v1.Health/Check";

function portOf(container: PodContainer, port: number | string): number | undefined {
  if (typeof port === "number") return port;
  if (/^\d+$/.test(port)) return Number(port);
  return container.ports?.find(({ name }) => name === port)?.containerPort;
}

function slashed(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

function listenerFor(questions: readonly Question[], podAddress: string): Pick<RewrittenProbes, "listeners" | "clusters"> {
  if (questions.length === 0) return { listeners: [], clusters: [] };
  const byPath = [...new Map(questions.map((question) => [question.path, question])).values()];
  const targets = [...new Map(byPath.map(({ target }) => [clusterName(target), target])).values()].sort((a, b) =>
    clusterName(a).localeCompare(clusterName(b), "en"),
  );
  const routes = byPath.map(({ path, target, asks, setHost }) => ({
    match: { path },
    route: {
      cluster: clusterName(target),
      prefix_rewrite: asks,
      // The kubelet itself gives up; see its `timeoutSeconds`.
      timeout: "0s",
      ...(setHost ? { host_rewrite_literal: `${podAddress}:${target.port}` } : {}),
    },
  }));
  return {
    listeners: [staticListener("probes", POD_PORTS.probes, routes)],
    clusters: targets.map((target) => probeCluster(target, podAddress)),
  };
}

function clusterName({ port, tls, http2 }: Target): string {
  return `${LISTENER_STATISTICS}probe-${port}${tls ? "-tls" : ""}${http2 ? "-http2" : ""}`;
}

/** Asks at the pod's address, as the kubelet would: a program may listen there only. The kubelet verifies no certificate either. */
function probeCluster(target: Target, podAddress: string): object {
  const name = clusterName(target);
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    upstream_bind_config: { source_address: { address: INBOUND_SOURCE, port_value: 0 } },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: podAddress, port_value: target.port } } } }] }],
    },
    ...(target.tls ? { transport_socket: TLS } : {}),
    ...(target.http2 ? { typed_extension_protocol_options: HTTP2 } : {}),
  };
}

const TLS = {
  name: "envoy.transport_sockets.tls",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" },
};
const HTTP2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  },
};
