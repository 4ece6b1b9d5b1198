import { describe, expect, it } from "vitest";
import { edgeRates, type ProxySample, readStatistics } from "./edge-statistics.ts";
import { PLAIN } from "./style.ts";
import { topText } from "./top.ts";

const CLUSTER = "cluster.outbound|9090||order-history.default.svc.cluster.local";

/** A sidecar of product in zone a, with so many requests to order-history, those over zones, and their times. */
function sampled(counts: {
  readonly total: number;
  readonly errors?: number;
  readonly home?: number;
  readonly away?: number;
  readonly times?: readonly number[];
}): ProxySample {
  const { total, errors = 0, home = 0, away = 0, times = [] } = counts;
  const bounds = [1, 10, 100];
  const statistics = readStatistics({
    stats: [
      { name: `${CLUSTER}.upstream_rq_total`, value: total },
      { name: `${CLUSTER}.upstream_rq_5xx`, value: errors },
      { name: `${CLUSTER}.external.upstream_rq_completed`, value: 999 },
      { name: `${CLUSTER}.zone.z-a.z-a.upstream_rq_completed`, value: home },
      { name: `${CLUSTER}.zone.z-a.z-b.upstream_rq_completed`, value: away },
      {
        histograms: [
          {
            name: `${CLUSTER}.upstream_rq_time`,
            buckets: bounds.map((upper_bound) => ({ upper_bound, interval: 0, cumulative: times.filter((ms) => ms <= upper_bound).length })),
          },
        ],
      },
    ],
  });
  return { namespace: "default", workload: "product", zone: "z-a", ...statistics };
}

describe("rates of edges", () => {
  it("are what was added between two samples, over all copies of a workload", () => {
    const before = [sampled({ total: 10 }), sampled({ total: 0 })];
    const after = [sampled({ total: 30, errors: 5, home: 15, away: 5, times: Array.from({ length: 20 }, () => 5) }), sampled({ total: 20, home: 20 })];
    expect(edgeRates(before, after, 2)).toEqual([
      {
        namespace: "default",
        from: "product",
        to: "order-history:9090",
        subset: "",
        requestsPerSecond: 20,
        errorShare: 0.125,
        p99Ms: 1 + 9 * 0.99,
        crossZoneShare: 0.125,
      },
    ]);
  });

  it("count from nothing for a proxy that was started again, and show no edge that was never used", () => {
    expect(edgeRates([sampled({ total: 100 })], [sampled({ total: 8 })], 1)).toMatchObject([{ requestsPerSecond: 8, errorShare: 0 }]);
    expect(edgeRates([], [sampled({ total: 0 })], 1)).toEqual([]);
  });

  it("are a table for a person, errors and unknowns told", () => {
    const [edge] = edgeRates([], [sampled({ total: 100, errors: 1 })], 1);
    if (edge === undefined) throw new Error("there is an edge");
    expect(topText([edge, { ...edge, subset: "v2", crossZoneShare: 0.5 }], PLAIN)).toBe(
      [
        "FROM     TO                     REQUESTS/S  ERRORS  P99  CROSS-ZONE",
        "product  order-history:9090     100.0       1.0 %   -    -",
        "product  order-history:9090 v2  100.0       1.0 %   -    50 %",
      ].join("\n"),
    );
    expect(topText([], PLAIN)).toContain("no workload has called");
  });
});
