import { describe, expect, it } from "vitest";
import { meshOf } from "../test/mesh-of.ts";
import { destinationRuleFor } from "./policy.ts";

const RULE = (name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: shop}
spec: {host: orders, ${spec}}
`;
const CONFIG = (defaults: string): string => `
---
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {defaults: ${defaults}}
`;
const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}
`;
const policy = (simple: string): string => `trafficPolicy: {loadBalancer: {simple: ${simple}}}`;
const subset = (name: string, version = name): string => `subsets: [{name: ${name}, labels: {version: ${version}}}]`;

const found = (yaml: string, namespace = "shop", labels: Readonly<Record<string, string>> = {}) => {
  const rule = destinationRuleFor(meshOf(SERVICE + yaml), { namespace, labels }, "orders.shop.svc.cluster.local");
  return {
    from: rule?.from.map(({ name }) => name),
    simple: rule?.spec.trafficPolicy?.loadBalancer?.simple,
    subsets: rule?.spec.subsets.map(({ name, labels: of }) => `${name}=${of.version}`),
  };
};

describe("DestinationRules for one host in one namespace", () => {
  it.each([
    {
      what: "join their subsets",
      rules: RULE("a", subset("v1")) + RULE("b", subset("v2")),
      expected: { from: ["a", "b"], simple: undefined, subsets: ["v1=v1", "v2=v2"] },
    },
    {
      what: "take the first trafficPolicy that there is",
      rules: RULE("a", subset("v1")) + RULE("b", policy("RANDOM")) + RULE("c", policy("ROUND_ROBIN")),
      expected: { from: ["a", "b", "c"], simple: "RANDOM", subsets: ["v1=v1"] },
    },
    {
      what: "take the first of two subsets of one name",
      rules: RULE("a", subset("v1")) + RULE("b", subset("v1", "other")),
      expected: { from: ["a", "b"], simple: undefined, subsets: ["v1=v1"] },
    },
    {
      what: "stand apart where they are exported apart",
      rules: RULE("a", `${subset("v1")}, exportTo: [other]`) + RULE("b", `${subset("v2")}, exportTo: ["."]`),
      expected: { from: ["b"], simple: undefined, subsets: ["v2=v2"] },
    },
    {
      what: "add to one that is exported less far, and stand apart as well",
      rules: RULE("a", `${subset("v1")}, exportTo: ["."]`) + RULE("b", `${subset("v2")}, exportTo: [".", other]`),
      expected: { from: ["a", "b"], simple: undefined, subsets: ["v1=v1", "v2=v2"] },
    },
  ])("$what", ({ rules, expected }) => {
    expect(found(rules)).toEqual(expected);
  });

  it("keep to the workloads that they are for", () => {
    const rules =
      RULE("all", policy("RANDOM")) +
      RULE("some", `${policy("ROUND_ROBIN")}, workloadSelector: {matchLabels: {app: page}}`) +
      RULE("some-more", `${subset("v1")}, workloadSelector: {matchLabels: {app: page}}`);
    expect(found(rules)).toMatchObject({ from: ["all"], simple: "RANDOM" });
    expect(found(rules, "shop", { app: "page" })).toMatchObject({ from: ["some", "some-more"], simple: "ROUND_ROBIN", subsets: ["v1=v1"] });
    expect(found(rules, "web", { app: "page" })).toMatchObject({ from: ["all"] });
  });

  it("come in the order of their names, and under Istio's defaults in that of the file", () => {
    const rules = RULE("b", policy("RANDOM")) + RULE("a", policy("ROUND_ROBIN"));
    expect(found(rules + CONFIG("weft")).from).toEqual(["a", "b"]);
    expect(found(rules + CONFIG("istio")).from).toEqual(["b", "a"]);
  });

  it("of a root namespace come after the service's for clients of that namespace too, but private ones before", () => {
    const root = (name: string, more: string): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: istio-system}
spec: {host: "*.svc.cluster.local", ${policy("RANDOM")}${more}}
`;
    expect(found(root("wide", "") + RULE("own", subset("v1")), "istio-system").from).toEqual(["own"]);
    expect(found(root("private", ', exportTo: ["."]') + RULE("own", subset("v1")), "istio-system").from).toEqual(["private"]);
  });
});
