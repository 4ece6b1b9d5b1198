import { describe, expect, it } from "vitest";
import { deployment, gatewayProxy, meshOf, sidecar } from "../test/mesh-of.ts";
import { resolveDestination } from "./destination.ts";
import type { Mesh } from "./mesh.ts";

const SERVICE = `
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: http, port: 9090}]}
`;
const RULE = (loadBalancer: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  trafficPolicy: {loadBalancer: ${loadBalancer}${more}}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v9, labels: {version: v9}}
`;
const CONFIG = (spec: string): string => `
---
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: ${spec}
`;
const BALANCED = "{localityLbSetting: {enabled: true}}";

/** `products` callers and `orders` endpoints in zones a, b and c of one region. */
function shop(products: readonly number[], orders: readonly number[], ...more: readonly string[]): string {
  const inZones = (name: string, counts: readonly number[], labels: string): string =>
    counts.map((count, index) => (count === 0 ? "" : deployment(`${name}-${"abc"[index]}`, labels, `eu-1${"abc"[index]}`, count))).join("");
  return inZones("product", products, "app: product") + inZones("orders", orders, "app: orders, version: v1") + SERVICE + more.join("");
}

const sharesFrom = (mesh: Mesh, workload: string, subset = "v1"): Record<string, number> => {
  const { entries } = resolveDestination(mesh, sidecar(mesh, workload), "default", { host: "orders", ...(subset === "" ? {} : { subset }) }, 9090);
  return Object.fromEntries(entries.map(({ cluster, share }) => [cluster.zone ?? "", share]));
};

describe("resolveDestination", () => {
  it.each([
    { what: "keeps traffic at home where each zone has its own", yaml: shop([1, 1, 1], [1, 1, 1], RULE(BALANCED)), from: "product-c", expected: { "": 64 } },
    {
      what: "divides the traffic of a crowded zone",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE(BALANCED)),
      from: "product-c",
      expected: { "eu-1a": 14, "eu-1b": 14, "eu-1c": 36 },
    },
    { what: "leaves the other zones at home then", yaml: shop([1, 1, 3], [1, 1, 1], RULE(BALANCED)), from: "product-a", expected: { "": 64 } },
    {
      what: "needs no split where priorities already spread a zone without endpoints",
      yaml: shop([1, 1, 1], [0, 1, 1], RULE(BALANCED)),
      from: "product-a",
      expected: { "": 64 },
    },
    {
      what: "sends a zone without endpoints where there is room",
      yaml: shop([1, 1, 0], [0, 1, 1], RULE(BALANCED)),
      from: "product-a",
      expected: { "eu-1c": 64 },
    },
    { what: "has priorities alone without a setting", yaml: shop([1, 1, 3], [1, 1, 1], RULE("{simple: RANDOM}")), from: "product-c", expected: { "": 64 } },
    {
      what: "has priorities alone with failoverPriority",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE("{localityLbSetting: {enabled: true, failoverPriority: [version]}}")),
      from: "product-c",
      expected: { "": 64 },
    },
    {
      what: "has no split where locality is off",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE("{localityLbSetting: {enabled: false}}")),
      from: "product-c",
      expected: { "": 64 },
    },
    {
      what: "has no split where a limit holds for the whole destination",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE(BALANCED, ", connectionPool: {tcp: {maxConnections: 5}}")),
      from: "product-c",
      expected: { "": 64 },
    },
    {
      what: "splits for zoneAwareLbSetting",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE("{zoneAwareLbSetting: {enabled: true}}")),
      from: "product-c",
      expected: { "eu-1a": 14, "eu-1b": 14, "eu-1c": 36 },
    },
    {
      what: "takes the mesh's setting where the rule has none",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE("{simple: RANDOM}"), CONFIG("{localityLbSetting: {enabled: true}}")),
      from: "product-c",
      expected: { "eu-1a": 14, "eu-1b": 14, "eu-1c": 36 },
    },
    {
      what: "never splits under Istio's defaults",
      yaml: shop([1, 1, 3], [1, 1, 1], RULE(BALANCED), CONFIG("{defaults: istio}")),
      from: "product-c",
      expected: { "": 64 },
    },
    {
      what: "distributes as written",
      yaml: shop([1, 1, 1], [1, 1, 2], RULE('{localityLbSetting: {distribute: [{from: "eu-1/eu-1a/*", to: {"eu-1/eu-1a/*": 75, "eu-1/eu-1c/*": 25}}]}}')),
      from: "product-a",
      expected: { "eu-1a": 48, "eu-1c": 16 },
    },
    {
      what: "divides a target of several zones by their endpoints",
      yaml: shop([1, 1, 1], [1, 1, 3], RULE('{localityLbSetting: {distribute: [{from: "eu-1/*", to: {"eu-1/*": 100}}]}}')),
      from: "product-a",
      expected: { "eu-1a": 13, "eu-1b": 13, "eu-1c": 38 },
    },
    {
      what: "leaves callers that no from covers to the priorities",
      yaml: shop([1, 1, 1], [1, 1, 2], RULE('{localityLbSetting: {distribute: [{from: "eu-1/eu-1a/*", to: {"eu-1/eu-1c/*": 100}}]}}')),
      from: "product-b",
      expected: { "": 64 },
    },
  ])("$what", ({ yaml, from, expected }) => {
    expect(sharesFrom(meshOf(yaml), from)).toEqual(expected);
  });

  it("counts ready callers only, and a gateway only for hosts that a VirtualService leads it to", () => {
    const yaml = shop([1, 1, 1], [1, 1, 1], RULE(BALANCED));
    const tired = meshOf(shop([1, 1, 3], [1, 1, 1], RULE(BALANCED)), { change: (instance) => ({ ...instance, ready: !/product-c-[23]/.test(instance.name) }) });
    expect(sharesFrom(tired, "product-c")).toEqual({ "": 64 });
    const gateways = [gatewayProxy("eu-1c")];
    expect(sharesFrom(meshOf(yaml, { gateways }), "product-c")).toEqual({ "": 64 });
    const led = `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: orders}}]}]}
`;
    expect(sharesFrom(meshOf(yaml + led, { gateways }), "product-c")).toEqual({ "eu-1a": 11, "eu-1b": 11, "eu-1c": 42 });
  });

  it("counts the endpoints of the subset, in every zone", () => {
    const mesh = meshOf(shop([1, 1, 1], [2, 1, 0], RULE(BALANCED)));
    const product = sidecar(mesh, "product-a");
    expect(resolveDestination(mesh, product, "default", { host: "orders", subset: "v1" }, 9090)).toMatchObject({ known: true, endpoints: 3, subset: "v1" });
    expect(resolveDestination(mesh, product, "default", { host: "orders", subset: "v9" }, 9090)).toMatchObject({
      known: true,
      endpoints: 0,
      entries: [{ share: 64 }],
    });
  });

  it.each([
    { what: "an unknown host", destination: { host: "ordres" } },
    { what: "an unknown port", destination: { host: "orders", port: { number: 1 } } },
    { what: "an unknown subset", destination: { host: "orders", subset: "v2" } },
  ])("says that $what is not known, and still names a cluster", ({ destination }) => {
    const mesh = meshOf(shop([1, 0, 0], [1, 0, 0], RULE(BALANCED)));
    const resolved = resolveDestination(mesh, sidecar(mesh, "product-a"), "default", destination, 9090);
    expect(resolved).toMatchObject({ known: false, endpoints: 0, entries: [{ share: 64 }] });
  });

  it("takes the only port where none is written, else the port that was called", () => {
    const two = SERVICE.replace("ports: [", "ports: [{name: admin, port: 9091, targetPort: 9090}, ");
    const one = meshOf(shop([1, 0, 0], [1, 0, 0]));
    expect(resolveDestination(one, sidecar(one, "product-a"), "default", { host: "orders" }, 80).port).toBe(9090);
    const several = meshOf(shop([1, 0, 0], [1, 0, 0]).replace(SERVICE, two));
    expect(resolveDestination(several, sidecar(several, "product-a"), "default", { host: "orders" }, 9091)).toMatchObject({ port: 9091, known: true });
  });

  it("hands on how hosts are chosen by a hash", () => {
    const mesh = meshOf(shop([1, 0, 0], [1, 0, 0], RULE("{consistentHash: {httpHeaderName: x-user}}")));
    expect(resolveDestination(mesh, sidecar(mesh, "product-a"), "default", { host: "orders" }, 9090).consistentHash).toMatchObject({
      httpHeaderName: "x-user",
    });
  });
});
