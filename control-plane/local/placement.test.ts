import { describe, expect, it } from "vitest";
import { desiredWorkload } from "./fixtures.ts";
import { localityIn, zoneShares } from "./placement.ts";

const ZONE = "topology.kubernetes.io/zone";
const REGION = "topology.kubernetes.io/region";
const affinity = (...terms: readonly { key: string; operator: string; values: readonly string[] }[]) => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms.map((term) => ({ matchExpressions: [term] })) } } },
});

describe("placement", () => {
  it.each([
    { name: "knows no zone without a selector", pod: {}, replicas: 2, zones: { "": 2 } },
    { name: "reads the node selector", pod: { nodeSelector: { [ZONE]: "r-1a" } }, replicas: 2, zones: { "r-1a": 2 } },
    {
      name: "spreads replicas over the zones of node affinity",
      pod: affinity({ key: ZONE, operator: "In", values: ["r-1b", "r-1a"] }),
      replicas: 3,
      zones: { "r-1a": 2, "r-1b": 1 },
    },
    {
      name: "takes the terms of node affinity as alternatives",
      pod: affinity({ key: ZONE, operator: "In", values: ["r-1a"] }, { key: ZONE, operator: "In", values: ["r-1c"] }),
      replicas: 2,
      zones: { "r-1a": 1, "r-1c": 1 },
    },
    { name: "passes over other operators and keys", pod: affinity({ key: ZONE, operator: "NotIn", values: ["r-1a"] }), replicas: 1, zones: { "": 1 } },
  ])("$name", ({ pod, replicas, zones }) => {
    const { spec } = desiredWorkload("x", { pod, replicas });
    expect(Object.fromEntries(zoneShares(spec).map((share) => [share.zone, share.replicas]))).toEqual(zones);
  });

  it.each([
    ["ap-northeast-2a", {}, "ap-northeast-2"],
    ["us-central1-a", {}, "us-central1"],
    ["ap-northeast-2a", { nodeSelector: { [REGION]: "mine" } }, "mine"],
    ["", {}, ""],
  ])("puts zone %j with %j in region %s", (zone, pod, region) => {
    expect(localityIn(desiredWorkload("x", { pod }).spec, zone)).toEqual({ region, zone, subzone: "" });
  });
});
