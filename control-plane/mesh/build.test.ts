import { describe, expect, it } from "vitest";
import { deployment, meshOf, resourcesOf, sidecar } from "../test/mesh-of.ts";
import { buildMesh } from "./build.ts";
import { isExported, resolveHostname } from "./hosts.ts";
import { inboundProtocol } from "./inbound.ts";
import { protocolOf } from "./services.ts";

const SERVICE = (name: string, spec: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: ${spec}
`;
const ORDERS = "orders.default.svc.cluster.local";

describe("buildMesh", () => {
  it("gives a Service's ready instances as endpoints of each port, sorted by address", () => {
    const yaml =
      deployment("orders-a", "app: orders, zone: a", "eu-1a", 2) + deployment("orders-b", "app: orders", "eu-1b") + deployment("other", "app: other", "eu-1a");
    const mesh = meshOf(yaml + SERVICE("orders", "{selector: {app: orders}, ports: [{name: http, port: 80, targetPort: http}]}"), {
      change: (instance) => ({ ...instance, ready: instance.name !== "orders-a-2" }),
    });
    const endpoints = mesh.hosts.get(ORDERS)?.endpoints.get(80) ?? [];
    expect(endpoints.map(({ instance }) => instance.name).sort()).toEqual(["orders-a-1", "orders-b-1"]);
    expect(endpoints.map(({ address }) => address)).toEqual(endpoints.map(({ address }) => address).sort());
    expect(endpoints.every(({ port }) => port === 9090)).toBe(true);
  });

  it("leads a privileged container port to where it is bound", () => {
    const mesh = meshOf(deployment("orders", "app: orders", "eu-1a", 1, 80) + SERVICE("orders", "{selector: {app: orders}, ports: [{port: 80}]}"));
    expect(
      mesh.hosts
        .get(ORDERS)
        ?.endpoints.get(80)
        ?.map(({ port }) => port),
    ).toEqual([8080]);
  });

  it("selects nothing with an empty selector", () => {
    const mesh = meshOf(deployment("orders", "app: orders", "eu-1a") + SERVICE("orders", "{ports: [{port: 9090}]}"));
    expect(mesh.hosts.get(ORDERS)?.endpoints.get(9090)).toEqual([]);
  });

  it("does not depend on the order of what it is built from", () => {
    const yaml =
      deployment("orders-a", "app: orders", "eu-1a", 2) +
      deployment("orders-b", "app: orders", "eu-1b", 2) +
      SERVICE("orders", "{selector: {app: orders}, ports: [{port: 9090}]}") +
      SERVICE("another", "{selector: {app: orders}, ports: [{port: 9090}]}");
    const resources = resourcesOf(yaml);
    const { instances, proxies } = meshOf(yaml);
    const build = (reversed: boolean) => {
      const turn = <Item>(items: readonly Item[]): readonly Item[] => (reversed ? [...items].reverse() : items);
      const mesh = buildMesh({
        resources: { ...resources, services: turn(resources.services) },
        instances: turn(instances),
        proxies: turn(proxies),
        domain: "cluster.local",
      });
      return (
        JSON.stringify([...mesh.hosts].map(([name, { endpoints }]) => [name, [...endpoints]]).concat([[mesh.instances.length.toString(), []]])) +
        JSON.stringify(mesh.proxies)
      );
    };
    expect(build(true)).toBe(build(false));
  });

  it("takes the settings of the first MeshConfig, and says that the second is not used", () => {
    const config = (defaults: string): string => `
---
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default, namespace: ${defaults}}
spec: {defaults: ${defaults}}
`;
    const mesh = meshOf(config("istio") + config("weft"));
    expect(mesh.settings.defaults).toBe("istio");
    expect(mesh.diagnostics.map(({ code }) => code)).toEqual(["WEFT0413"]);
    expect(meshOf(SERVICE("orders", "{ports: [{port: 80}]}")).settings).toMatchObject({ defaults: "weft", decisions: "filter" });
  });

  it("knows which protocol a workload's own port speaks", () => {
    const mesh = meshOf(
      deployment("orders", "app: orders", "eu-1a") + SERVICE("orders", "{selector: {app: orders}, ports: [{name: grpc-orders, port: 80, targetPort: http}]}"),
    );
    expect(inboundProtocol(mesh, sidecar(mesh, "orders"), 9090)).toBe("grpc");
    expect(inboundProtocol(mesh, sidecar(mesh, "orders"), 7000)).toBe("http");
  });
});

describe("protocolOf", () => {
  it.each([
    [{ name: "http" }, "http"],
    [{ name: "http2-api" }, "http2"],
    [{ name: "grpc-api" }, "grpc"],
    [{ name: "grpc-web-api" }, "http"],
    [{ name: "tcp-db" }, "tcp"],
    [{ name: "tls" }, "tls"],
    [{ name: "https" }, "tls"],
    [{ name: "mysql" }, "tcp"],
    [{ name: "web" }, "http"],
    [{}, "http"],
    [{ name: "http", appProtocol: "kubernetes.io/h2c" }, "http2"],
    [{ name: "web", appProtocol: "tcp" }, "tcp"],
    [{ name: "http", appProtocol: "example.com/own" }, "http"],
    [{ name: "dns", protocol: "UDP" as const }, "udp"],
  ])("reads %j as %s", (port, protocol) => {
    expect(protocolOf({ protocol: "TCP", ...port })).toBe(protocol);
  });
});

describe("resolveHostname", () => {
  const names = { domain: "cluster.local", hosts: new Set(["orders.shop.svc.cluster.local"]) };
  it.each([
    ["orders", "orders.default.svc.cluster.local"],
    ["Orders", "orders.default.svc.cluster.local"],
    ["orders.shop", "orders.shop.svc.cluster.local"],
    ["orders.shop.svc", "orders.shop.svc.cluster.local"],
    ["orders.shop.svc.cluster.local", "orders.shop.svc.cluster.local"],
    ["example.com", "example.com"],
    ["*.example.com", "*.example.com"],
    ["*", "*"],
  ])("completes %s to %s in namespace default", (written, hostname) => {
    expect(resolveHostname(names, written, "default")).toBe(hostname);
  });
});

describe("isExported", () => {
  it.each([
    [[], "other", true],
    [["*"], "other", true],
    [["."], "own", true],
    [["."], "other", false],
    [["other"], "other", true],
    [["third"], "other", false],
    [["~"], "own", false],
  ])("with %j from own to %s: %s", (exportTo, namespace, visible) => {
    expect(isExported(exportTo, "own", namespace)).toBe(visible);
  });
});
