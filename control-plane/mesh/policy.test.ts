import { describe, expect, it } from "vitest";
import { meshOf } from "../test/mesh-of.ts";
import { destinationRuleFor, policyFor } from "./policy.ts";

const RULE = (name: string, spec: string, namespace = "default"): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;
const ORDERS = "orders.shop.svc.cluster.local";
const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}
`;
const ANY = "{loadBalancer: {simple: RANDOM}}";

describe("destinationRuleFor", () => {
  const client = { namespace: "web", labels: { app: "page" } };
  const found = (...rules: readonly string[]): string | undefined => destinationRuleFor(meshOf(SERVICE + rules.join("")), client, ORDERS)?.name;

  const ofClient = RULE("of-client", `{host: ${ORDERS}, trafficPolicy: ${ANY}}`, "web");
  const ofService = RULE("of-service", `{host: orders, trafficPolicy: ${ANY}}`, "shop");
  const ofRoot = RULE("of-root", `{host: "*.cluster.local", trafficPolicy: ${ANY}}`, "istio-system");

  it.each([
    { what: "takes the client's namespace first", rules: [ofRoot, ofService, ofClient], name: "of-client" },
    { what: "then the service's", rules: [ofRoot, ofService], name: "of-service" },
    { what: "then the root namespace", rules: [ofRoot], name: "of-root" },
    { what: "finds none elsewhere", rules: [RULE("elsewhere", `{host: ${ORDERS}, trafficPolicy: ${ANY}}`, "third")], name: undefined },
    {
      what: "passes over a rule that is not exported to the client",
      rules: [RULE("private", `{host: orders, exportTo: ["."], trafficPolicy: ${ANY}}`, "shop"), ofRoot],
      name: "of-root",
    },
    {
      what: "prefers the most specific host",
      rules: [
        RULE("a-wide", `{host: "*.cluster.local", trafficPolicy: ${ANY}}`, "shop"),
        RULE("b-near", `{host: "*.shop.svc.cluster.local", trafficPolicy: ${ANY}}`, "shop"),
      ],
      name: "b-near",
    },
    {
      what: "prefers a name to any wildcard",
      rules: [RULE("a-wide", `{host: "*.shop.svc.cluster.local", trafficPolicy: ${ANY}}`, "shop"), ofService],
      name: "of-service",
    },
    {
      what: "takes the first by name of two",
      rules: [RULE("b", `{host: orders, trafficPolicy: ${ANY}}`, "shop"), RULE("a", `{host: orders, trafficPolicy: ${ANY}}`, "shop")],
      name: "a",
    },
    {
      what: "prefers a rule that selects the client",
      rules: [ofClient, RULE("z-selected", `{host: ${ORDERS}, workloadSelector: {matchLabels: {app: page}}, trafficPolicy: ${ANY}}`, "web")],
      name: "z-selected",
    },
    {
      what: "passes over a rule that selects others",
      rules: [RULE("a-others", `{host: ${ORDERS}, workloadSelector: {matchLabels: {app: other}}, trafficPolicy: ${ANY}}`, "web"), ofClient],
      name: "of-client",
    },
  ])("$what", ({ rules, name }) => {
    expect(found(...rules)).toBe(name);
  });
});

describe("policyFor", () => {
  const rule = destinationRuleFor(
    meshOf(
      SERVICE +
        RULE(
          "orders",
          `
  host: orders
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {http: {http2MaxRequests: 10}}
    outlierDetection: {consecutive5xxErrors: 7}
    portLevelSettings:
      - {port: {number: 81}, loadBalancer: {simple: ROUND_ROBIN}}
  subsets:
    - {name: plain, labels: {version: plain}}
    - {name: own, labels: {version: own}, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}
    - name: ported
      labels: {version: ported}
      trafficPolicy:
        loadBalancer: {simple: LEAST_REQUEST}
        portLevelSettings: [{port: {number: 80}, connectionPool: {http: {http2MaxRequests: 3}}}]`,
          "shop",
        ),
    ),
    { namespace: "shop", labels: {} },
    ORDERS,
  );
  const seen = (port: number, subset: string) => {
    const { loadBalancer, connectionPool, outlierDetection } = policyFor(rule, port, subset);
    return { simple: loadBalancer?.simple, max: connectionPool?.http?.http2MaxRequests, outlier: outlierDetection?.consecutive5xxErrors };
  };

  it.each([
    { what: "gives the destination's settings", port: 80, subset: "", expected: { simple: "RANDOM", max: 10, outlier: 7 } },
    { what: "a subset without settings has the destination's", port: 80, subset: "plain", expected: { simple: "RANDOM", max: 10, outlier: 7 } },
    { what: "a subset's setting replaces the one of the same name", port: 80, subset: "own", expected: { simple: "RANDOM", max: 10, outlier: 1 } },
    { what: "a port's settings do not inherit", port: 81, subset: "", expected: { simple: "ROUND_ROBIN", max: undefined, outlier: undefined } },
    { what: "a subset overrides a port's settings too", port: 81, subset: "own", expected: { simple: "ROUND_ROBIN", max: undefined, outlier: 1 } },
    { what: "a subset's port replaces all of them", port: 80, subset: "ported", expected: { simple: undefined, max: 3, outlier: undefined } },
    { what: "another port of that subset has the subset's", port: 82, subset: "ported", expected: { simple: "LEAST_REQUEST", max: 10, outlier: 7 } },
  ])("$what", ({ port, subset, expected }) => {
    expect(seen(port, subset)).toEqual(expected);
  });

  it("is empty without a rule", () => {
    expect(policyFor(undefined, 80, "v1")).toEqual({});
  });
});
