import { describe, expect, it } from "vitest";
import { type ClusterEndpoint, endpointsOf, zoneShares } from "./cluster-endpoints.ts";

const host = (address: string, zone: string, rest: object = {}) => ({
  address: { socket_address: { address, port_value: 9090 } },
  stats: [{ name: "rq_total", value: "1" }],
  health_status: { eds_health_status: "HEALTHY" },
  weight: 1,
  locality: { region: "ap-2", zone },
  ...rest,
});
const listing = JSON.stringify({
  cluster_statuses: [
    { name: "other" },
    {
      name: "orders",
      added_via_api: true,
      host_statuses: [
        host("127.80.0.3", "ap-2b", { priority: 1, health_status: { eds_health_status: "HEALTHY", failed_outlier_check: true } }),
        host("127.80.0.2", "ap-2a", { health_status: { eds_health_status: "DRAINING" } }),
        host("127.80.0.1", "ap-2a"),
      ],
    },
  ],
});

describe("the endpoints of a cluster", () => {
  it("are read with zone, priority and health, in order", () => {
    expect(endpointsOf(listing, "orders")).toEqual([
      { address: "127.80.0.1:9090", zone: "ap-2a", healthy: true, health: "healthy", priority: 0, weight: 1 },
      { address: "127.80.0.2:9090", zone: "ap-2a", healthy: false, health: "draining", priority: 0, weight: 1 },
      { address: "127.80.0.3:9090", zone: "ap-2b", healthy: false, health: "ejected (outlier detection)", priority: 1, weight: 1 },
    ]);
  });

  it("are none for a cluster without any, and unknown for no cluster", () => {
    expect(endpointsOf(listing, "other")).toEqual([]);
    expect(endpointsOf(listing, "absent")).toBeUndefined();
  });
});

describe("what priorities amount to", () => {
  const at = (zone: string, priority: number, healthy = true, weight = 1): ClusterEndpoint => ({ address: "", zone, priority, healthy, health: "", weight });
  it.each([
    { name: "the own zone takes all", endpoints: [at("a", 0), at("b", 1), at("c", 1)], shares: { a: 100 } },
    { name: "the neighbours take over", endpoints: [at("a", 0, false), at("b", 1), at("c", 1)], shares: { b: 50, c: 50 } },
    { name: "half a zone bears 70 %", endpoints: [at("a", 0), at("a", 0, false), at("b", 1)], shares: { a: 70, b: 30 } },
    { name: "weights count inside a priority", endpoints: [at("a", 0, true, 3), at("b", 0, true, 1)], shares: { a: 75, b: 25 } },
    {
      name: "too few everywhere: by what is left",
      endpoints: [at("a", 0), at("a", 0, false), at("a", 0, false), at("a", 0, false), at("b", 1), at("b", 1, false), at("b", 1, false), at("b", 1, false)],
      shares: { a: 50, b: 50 },
    },
    { name: "nothing is healthy", endpoints: [at("a", 0, false)], shares: {} },
    { name: "nothing at all", endpoints: [], shares: {} },
  ])("$name", ({ endpoints, shares }) => {
    const rounded = zoneShares(endpoints).map(({ zone, sharePercent }) => [zone, Math.round(sharePercent * 1e6) / 1e6]);
    expect(Object.fromEntries(rounded)).toEqual(shares);
  });
});
