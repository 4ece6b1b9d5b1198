// Who calls whom, from what sidecars count: Envoy's statistics in, requests per second, errors, p99 and cross-zone share of each edge out. Pure.
import { z } from "zod";
import { compareText } from "../model/diagnostic.ts";

/** What one proxy answered on its admin port. */
export interface ProxySample {
  readonly namespace: string;
  readonly workload: string;
  /** The proxy's own zone; empty where unknown. */
  readonly zone: string;
  readonly counters: ReadonlyMap<string, number>;
  /** Requests up to each number of milliseconds, by statistic. */
  readonly histograms: ReadonlyMap<string, readonly Bucket[]>;
}

interface Bucket {
  readonly upToMs: number;
  readonly count: number;
}

/** One edge over an interval. */
export interface EdgeRate {
  readonly namespace: string;
  readonly from: string;
  /** `order-history:9090`. */
  readonly to: string;
  readonly subset: string;
  readonly requestsPerSecond: number;
  /** 5xx, of 1; 0 without requests. */
  readonly errorShare: number;
  /** Absent without requests. */
  readonly p99Ms?: number;
  /** Requests that left their zone, of 1; absent where no zone is known. */
  readonly crossZoneShare?: number;
}

/** What of all statistics is asked for. */
export const EDGE_STATISTICS = "^cluster\\.outbound\\|.*\\.(upstream_rq_total|upstream_rq_5xx|upstream_rq_completed|upstream_rq_time)$";

const answer = z.object({
  stats: z.array(
    z.object({
      name: z.string().optional(),
      value: z.number().optional(),
      histograms: z
        .array(z.object({ name: z.string(), buckets: z.array(z.object({ upper_bound: z.number(), cumulative: z.number() })).default([]) }))
        .optional(),
    }),
  ),
});

/** Reads `/stats?format=json&histogram_buckets=cumulative`. */
export function readStatistics(json: unknown): Pick<ProxySample, "counters" | "histograms"> {
  const { stats } = answer.parse(json);
  const counters = new Map(stats.flatMap(({ name, value }) => (name === undefined || value === undefined ? [] : [[name, value] as const])));
  const histograms = stats
    .flatMap((entry) => entry.histograms ?? [])
    .map(({ name, buckets }) => [name, buckets.map(({ upper_bound, cumulative }) => ({ upToMs: upper_bound, count: cumulative }))] as const);
  return { counters, histograms: new Map(histograms) };
}

/** Counts of one edge since its proxies started. */
interface EdgeCount {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  readonly subset: string;
  requests: number;
  errors: number;
  zoned: number;
  crossZone: number;
  readonly buckets: Map<number, number>;
}

const CLUSTER = /^outbound\|(\d+)\|([^|]*)\|([^;]+)(?:;zone=.*)?$/;

/** Rates between two samples, the busiest edge first. A proxy that was started again counts from nothing. */
export function edgeRates(before: readonly ProxySample[], after: readonly ProxySample[], seconds: number): readonly EdgeRate[] {
  const counts = edgeCounts(before);
  const rates = [...edgeCounts(after)].map(([key, now]): EdgeRate => {
    const then = counts.get(key);
    const since = (a: number, b: number | undefined): number => (b === undefined || b > a ? a : a - b);
    const requests = since(now.requests, then?.requests);
    const zoned = since(now.zoned, then?.zoned);
    const buckets = [...now.buckets].map(([upToMs, count]) => ({ upToMs, count: since(count, then?.buckets.get(upToMs)) }));
    const p99Ms = percentile(buckets, 0.99);
    return {
      namespace: now.namespace,
      from: now.from,
      to: now.to,
      subset: now.subset,
      requestsPerSecond: requests / seconds,
      errorShare: requests === 0 ? 0 : Math.min(1, since(now.errors, then?.errors) / requests),
      ...(p99Ms === undefined ? {} : { p99Ms }),
      ...(zoned === 0 ? {} : { crossZoneShare: since(now.crossZone, then?.crossZone) / zoned }),
    };
  });
  return rates.sort((a, b) => b.requestsPerSecond - a.requestsPerSecond || compareText(`${a.from} ${a.to} ${a.subset}`, `${b.from} ${b.to} ${b.subset}`));
}

/** Edges that have ever carried a request, over all copies of a workload and all clusters of a destination. */
function edgeCounts(samples: readonly ProxySample[]): ReadonlyMap<string, EdgeCount> {
  const edges = new Map<string, EdgeCount>();
  for (const { namespace, workload, zone, counters, histograms } of samples) {
    for (const [name, requests] of counters) {
      const [, cluster = ""] = /^cluster\.(.*)\.upstream_rq_total$/.exec(name) ?? [];
      const [, port, subset = "", hostname = ""] = CLUSTER.exec(cluster) ?? [];
      if (port === undefined || requests === 0) continue;
      const to = `${shortName(hostname)}:${port}`;
      const key = [namespace, workload, to, subset].join("\n");
      const edge = edges.get(key) ?? {
        namespace,
        from: workload,
        to,
        subset,
        requests: 0,
        errors: 0,
        zoned: 0,
        crossZone: 0,
        buckets: new Map<number, number>(),
      };
      edges.set(key, edge);
      const prefix = `cluster.${cluster}.`;
      edge.requests += requests;
      edge.errors += counters.get(`${prefix}upstream_rq_5xx`) ?? 0;
      for (const { upToMs, count } of histograms.get(`${prefix}upstream_rq_time`) ?? []) edge.buckets.set(upToMs, (edge.buckets.get(upToMs) ?? 0) + count);
      addZones(edge, counters, `${prefix}zone.${zone}.`, zone);
    }
  }
  return edges;
}

/** `….zone.FROM.TO.upstream_rq_completed`. Source: Envoy, cluster statistics, "Per service zone dynamic HTTP statistics". */
function addZones(edge: EdgeCount, counters: ReadonlyMap<string, number>, prefix: string, zone: string): void {
  if (zone === "") return;
  for (const [name, count] of counters) {
    if (!name.startsWith(prefix) || !name.endsWith(".upstream_rq_completed")) continue;
    edge.zoned += count;
    if (name !== `${prefix}${zone}.upstream_rq_completed`) edge.crossZone += count;
  }
}

/** Between the bounds of the bucket that holds it, as if its requests were spread evenly. */
function percentile(cumulative: readonly Bucket[], share: number): number | undefined {
  const sorted = [...cumulative].sort((a, b) => a.upToMs - b.upToMs);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return undefined;
  const wanted = total * share;
  let [fromMs, below] = [0, 0];
  for (const { upToMs, count } of sorted) {
    if (count >= wanted) return fromMs + ((upToMs - fromMs) * (wanted - below)) / (count - below);
    [fromMs, below] = [upToMs, count];
  }
  return fromMs;
}

/** `order-history` for `order-history.default.svc.cluster.local`, `pay.bank` for another namespace's. */
function shortName(hostname: string): string {
  return hostname.replace(/\.svc\.[a-z0-9.-]+$/, "").replace(/^([^.]+)\.default$/, "$1");
}
