import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { localityLbSetting } from "../model/destination-rule.ts";
import type { Locality } from "./instance.ts";
import { applyIstioLocality, type LocalityGroup, type WeightedEndpoint } from "./istio-locality.ts";

const place = (text: string): Locality => {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
};
const group = (locality: string, labels: readonly Readonly<Record<string, string>>[] = [{}], weight = labels.length): LocalityGroup<WeightedEndpoint> => ({
  locality: place(locality),
  priority: 0,
  weight,
  endpoints: labels.map((of) => ({ labels: of, weight: 1 })),
});
const setting = (written: z.input<typeof localityLbSetting>) => localityLbSetting.parse(written);
const HERE = { locality: place("r1/z1/s1"), labels: {} };

describe("applyIstioLocality", () => {
  it("orders by subzone, zone, region, elsewhere, and leaves no gap", () => {
    const groups = ["r2/z1/s1", "r1/z1/s1", "r1/z2/s1"].map((locality) => group(locality));
    expect(applyIstioLocality(groups, HERE, setting({}), true).map(({ priority }) => priority)).toEqual([2, 0, 1]);
  });

  it("takes the region that failover names before the others", () => {
    const groups = ["r1/z1/s1", "r3/z1/s1", "r2/z1/s1"].map((locality) => group(locality));
    const ordered = applyIstioLocality(groups, HERE, setting({ failover: [{ from: "r1", to: "r2" }] }), true);
    expect(ordered.map(({ priority }) => priority)).toEqual([0, 2, 1]);
  });

  it("leaves priorities alone without outlier detection", () => {
    const groups = ["r1/z1/s1", "r2/z1/s1"].map((locality) => group(locality));
    expect(applyIstioLocality(groups, HERE, setting({}), false)).toEqual(groups);
  });

  it("divides a weight over what a wildcard covers, rounded up, and empties what no target covers", () => {
    const groups = [group("r1/z1/s1", [{}, {}]), group("r1/z1/s2"), group("r2/z1/s1"), group("r3/z1/s1")];
    const weighted = applyIstioLocality(groups, HERE, setting({ distribute: [{ from: "r1/*", to: { "r1/z1/*": 50, "r2/*": 50 } }] }), true);
    expect(weighted.map(({ weight, endpoints }) => [weight, endpoints.length])).toEqual([
      [34, 2],
      [17, 1],
      [50, 1],
      [1, 0],
    ]);
  });

  it("compares labels in their order, each with the caller's value or the written one", () => {
    const from = { locality: place("r1/z1/s1"), labels: { network: "n1", version: "v1" } };
    const groups = [
      group("r1/z1/s1", [
        { network: "n1", version: "v1" },
        { network: "n1", version: "v2" },
        { network: "n2", version: "v1" },
      ]),
    ];
    const byCaller = applyIstioLocality(groups, from, setting({ failoverPriority: ["network", "version"] }), true);
    expect(byCaller.map(({ priority, endpoints }) => [priority, endpoints[0]?.labels.version])).toEqual([
      [0, "v1"],
      [1, "v2"],
      [2, "v1"],
    ]);
    const byValue = applyIstioLocality(groups, from, setting({ failoverPriority: ["version=v2"] }), true);
    expect(byValue.map(({ priority, weight }) => [priority, weight])).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  it("goes on comparing for endpoints of another network, after all of the caller's own", () => {
    const network = "topology.istio.io/network";
    const from = { locality: place("r1/z1/s1"), labels: { [network]: "n1", version: "v1" } };
    const groups = [
      group("r1/z1/s1", [
        { [network]: "n2", version: "v2" },
        { [network]: "n2", version: "v1" },
        { [network]: "n1", version: "v2" },
      ]),
    ];
    const ordered = applyIstioLocality(groups, from, setting({ failoverPriority: [network, "version"] }), true);
    expect(ordered.map(({ endpoints }) => [endpoints[0]?.labels[network], endpoints[0]?.labels.version])).toEqual([
      ["n1", "v2"],
      ["n2", "v1"],
      ["n2", "v2"],
    ]);
  });
});
