// What holds for a cluster where no DestinationRule says otherwise: one table, Weft's values beside Istio's, with the reason for each difference.

/** Times in milliseconds, counts as Envoy's fields want them. */
export interface ClusterDefaults {
  readonly connectTimeoutMs: number;
  /** The same to a host outside of the mesh. */
  readonly externalConnectTimeoutMs: number;
  /** Connections, pending requests, requests and retries at once. */
  readonly limit: number;
  /** How long an unused connection to another proxy is kept. */
  readonly idleTimeoutMs: number;
  /** How long an unused connection to the application beside the proxy is kept. */
  readonly inboundIdleTimeoutMs: number;
  readonly dns: DnsDefaults;
  /** The policy where none is written; undefined: no outlier detection. */
  readonly outlier: OutlierDefaults | undefined;
  /** Below this percentage of healthy endpoints Envoy asks all of them, where outlier detection is on and no minimum is written. */
  readonly panicPercent: number;
}

/** How names are asked for. */
interface DnsDefaults {
  /** Where an answer does not say how long it holds. */
  readonly refreshMs: number;
  /** After a failure, from `base` on ever slower; undefined: as after an answer. */
  readonly failureRefreshMs: { readonly base: number; readonly max: number } | undefined;
  /** Whether a proxy that starts waits for the first answers. */
  readonly waits: boolean;
}

export interface OutlierDefaults {
  /** Answers 502, 503, 504, refused and broken connections and timeouts in a row, each of which counts. */
  readonly consecutiveGatewayFailures: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** An ejection lasts the base times the number of ejections so far, up to this. */
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
}

/** Envoy's own limits are 1,024 and 3 retries: a wall that few expect. Istio lifts them, and so does Weft. */
const NO_LIMIT = 2 ** 32 - 1;
const ONE_HOUR_MS = 3_600_000;

export const CLUSTER_DEFAULTS: Readonly<Record<"weft" | "istio", ClusterDefaults>> = {
  weft: {
    // A refused connection fails at once whatever this is. A black hole (a host that went without a word) costs it once per try, until outlier detection ejects
    // the host after three: 1.5 s, since a lost SYN is sent again after 1 s and must have its chance.
    connectTimeoutMs: 1_500,
    // Far away, and there is often no other endpoint to turn to.
    externalConnectTimeoutMs: 10_000,
    limit: NO_LIMIT,
    idleTimeoutMs: ONE_HOUR_MS,
    // Shorter than the keep-alive of common servers (Node.js: 5 s): who sends into a connection that the server is just closing loses the request, and a POST
    // may not be sent again.
    inboundIdleTimeoutMs: 4_000,
    // A name server that is away must neither keep a proxy from starting nor keep a name unknown for a minute after it is back.
    dns: { refreshMs: 60_000, failureRefreshMs: { base: 1_000, max: 10_000 }, waits: false },
    outlier: {
      // Plain 500s do not count: an application that answers one bad request with errors would lose all of its endpoints in a row.
      consecutiveGatewayFailures: 3,
      // The sweep also brings endpoints back, so it bounds how late traffic comes home.
      intervalMs: 1_000,
      baseEjectionMs: 2_000,
      maxEjectionMs: 10_000,
      // A zone's only endpoint must be ejectable, or its zone never fails over: Istio's 10 % leaves it in.
      maxEjectionPercent: 100,
    },
    // All ejected (1 % is none of fewer than a hundred): better to ask them all than to refuse.
    panicPercent: 1,
  },
  // Source: Istio 1.32, MeshConfig.connectTimeout and dnsRefreshRate, pilot/pkg/networking/core/cluster_traffic_policy.go.
  istio: {
    connectTimeoutMs: 10_000,
    externalConnectTimeoutMs: 10_000,
    limit: NO_LIMIT,
    idleTimeoutMs: ONE_HOUR_MS,
    inboundIdleTimeoutMs: ONE_HOUR_MS,
    dns: { refreshMs: 60_000, failureRefreshMs: undefined, waits: true },
    outlier: undefined,
    panicPercent: 0,
  },
};

/** What Istio's reference (and Envoy) gives the fields that a written outlierDetection leaves out; the same under both settings. */
export const WRITTEN_OUTLIER_DEFAULTS = {
  consecutive5xx: 5,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 10,
  consecutiveLocalOriginFailures: 5,
} as const;
