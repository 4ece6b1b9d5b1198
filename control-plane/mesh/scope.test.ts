import { describe, expect, it } from "vitest";
import { deployment, gatewayProxy, meshOf } from "../test/mesh-of.ts";
import type { Mesh } from "./mesh.ts";
import { type Scope, scopeOf } from "./scope.ts";
import { zoneLoads } from "./zones.ts";

const service = (name: string, namespace: string, annotations = ""): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}${annotations}}
spec: {ports: [{name: http, port: 80}, {name: grpc, port: 81}]}
`;
const document = (kind: string, name: string, namespace: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;
const ENTRY = "{hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: DNS}";
const HOSTS =
  service("orders", "shop") +
  service("carts", "shop") +
  service("pay", "bank") +
  service("vault", "bank", ', annotations: {networking.istio.io/exportTo: "."}') +
  document("ServiceEntry", "api", "bank", ENTRY);

const SHORT = (hostname: string): string => hostname.replace(".svc.cluster.local", "");
const scope = (mesh: Mesh, namespace = "shop", labels: Readonly<Record<string, string>> = { app: "product" }): Scope =>
  scopeOf(mesh, { kind: "sidecar", namespace, labels });
const seen = (found: Scope): readonly string[] => [...found.hosts.keys()].map(SHORT);

describe("scopeOf", () => {
  it("is all that is exported to the namespace where no Sidecar says otherwise", () => {
    expect(seen(scope(meshOf(HOSTS)))).toEqual(["api.example.com", "carts.shop", "orders.shop", "pay.bank"]);
    expect(seen(scope(meshOf(HOSTS), "bank"))).toEqual(["api.example.com", "carts.shop", "orders.shop", "pay.bank", "vault.bank"]);
  });

  it.each([
    { hosts: '"./*"', expected: ["carts.shop", "orders.shop"] },
    { hosts: '"bank/*"', expected: ["api.example.com", "pay.bank"] },
    { hosts: '"*/*"', expected: ["api.example.com", "carts.shop", "orders.shop", "pay.bank"] },
    { hosts: '"~/*"', expected: [] },
    { hosts: '"*/*.example.com"', expected: ["api.example.com"] },
    { hosts: '"shop/orders.shop.svc.cluster.local"', expected: ["orders.shop"] },
    { hosts: '"./*", "bank/*.svc.cluster.local"', expected: ["carts.shop", "orders.shop", "pay.bank"] },
    { hosts: '"*/*", "~bank/*"', expected: ["carts.shop", "orders.shop"] },
    { hosts: '"*/*", "~/*.example.com"', expected: ["carts.shop", "orders.shop", "pay.bank"] },
  ])("sees of hosts [$hosts] $expected", ({ hosts, expected }) => {
    expect(seen(scope(meshOf(HOSTS + document("Sidecar", "default", "shop", `{egress: [{hosts: [${hosts}]}]}`))))).toEqual(expected);
  });

  it("lets a listener with a port be for that port alone, and the one without for the others", () => {
    const egress = '{egress: [{port: {number: 81, protocol: GRPC, name: grpc}, hosts: ["bank/*"]}, {hosts: ["./*"]}]}';
    const { sees } = scope(meshOf(HOSTS + document("Sidecar", "default", "shop", egress)));
    const at = (name: string): readonly boolean[] => [sees(`${name}.svc.cluster.local`, 80), sees(`${name}.svc.cluster.local`, 81)];
    expect([at("pay.bank"), at("orders.shop")]).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  it.each([
    { what: "one that selects the workload first", labels: { app: "product" }, namespace: "shop", expected: "shop shop/selecting" },
    { what: "the namespace's for others", labels: { app: "other" }, namespace: "shop", expected: "shop shop/default" },
    { what: "the root namespace's elsewhere", labels: { app: "product" }, namespace: "bank", expected: "bank istio-system/default" },
  ])("takes $what", ({ labels, namespace, expected }) => {
    const egress = 'egress: [{hosts: ["./*"]}]';
    const mesh = meshOf(
      HOSTS +
        document("Sidecar", "default", "istio-system", `{${egress}}`) +
        document("Sidecar", "default", "shop", `{${egress}}`) +
        document("Sidecar", "selecting", "shop", `{workloadSelector: {labels: {app: product}}, ${egress}}`),
    );
    expect(scope(mesh, namespace, labels).name).toBe(expected);
    expect(scope(mesh, namespace, labels)).toBe(scope(mesh, namespace, { ...labels }));
    expect(scopeOf(mesh, { ...gatewayProxy("eu-1a"), namespace: "shop" }).sidecar).toBeUndefined();
  });

  it("holds the VirtualServices of imported hosts, and follows them to hosts that are not imported", () => {
    const route = (name: string, host: string): string =>
      document("VirtualService", name, "shop", `{hosts: [${host}], http: [{route: [{destination: {host: pay.bank.svc.cluster.local}}]}]}`);
    const mesh = meshOf(
      HOSTS +
        route("orders", "orders") +
        route("carts", "carts") +
        document("Sidecar", "default", "shop", '{egress: [{hosts: ["./orders.shop.svc.cluster.local"]}]}'),
    );
    const { holds, destination, sees } = scope(mesh);
    expect(mesh.virtualServices.filter(holds).map(({ name }) => name)).toEqual(["orders"]);
    expect(sees("pay.bank.svc.cluster.local")).toBe(false);
    expect(destination("pay.bank.svc.cluster.local")?.name).toBe("pay");
    expect(destination("vault.bank.svc.cluster.local")).toBeUndefined();
  });

  it.each([
    { written: "", expected: { mode: "ALLOW_ANY" } },
    { written: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}", expected: { mode: "REGISTRY_ONLY" } },
    { written: "outboundTrafficPolicy: {}", expected: { mode: "REGISTRY_ONLY" } },
    {
      written: "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: orders.shop.svc.cluster.local, port: {number: 80}}}",
      expected: { mode: "ALLOW_ANY", egressProxy: { host: "orders.shop.svc.cluster.local", port: { number: 80 } } },
    },
  ])("sends unknown names as {$written} says", ({ written, expected }) => {
    const sidecar = document("Sidecar", "default", "shop", `{egress: [{hosts: ["*/*"]}], ${written}}`);
    expect(scope(meshOf(HOSTS + sidecar)).outboundTrafficPolicy).toEqual(expected);
  });

  it("counts as callers of a host only those that see it", () => {
    const orders = "---\napiVersion: v1\nkind: Service\nmetadata: {name: orders}\nspec: {selector: {app: orders}, ports: [{port: 9090}]}\n";
    const yaml =
      deployment("product", "app: product", "eu-1a", 2) +
      deployment("batch", "app: batch", "eu-1b", 3) +
      deployment("orders", "app: orders", "eu-1c") +
      orders +
      document("Sidecar", "batch", "default", '{workloadSelector: {labels: {app: batch}}, egress: [{hosts: ["~/*"]}]}');
    const mesh = meshOf(yaml);
    const host = mesh.hosts.get("orders.default.svc.cluster.local");
    const loads = host === undefined ? [] : zoneLoads(mesh, host, host.endpoints.get(9090) ?? []);
    expect(loads.map(({ zone, demand, capacity }) => [zone, demand, capacity])).toEqual([
      ["eu-1c", 0, 1],
      ["eu-1a", 2, 0],
    ]);
  });
});
