import { describe, expect, it } from "vitest";
import { deployment, meshOf, sidecar } from "../test/mesh-of.ts";
import { resolveDestination } from "./destination.ts";
import type { Host, Mesh } from "./mesh.ts";
import { visibleHost } from "./scope.ts";

const document = (kind: string, name: string, spec: string, metadata = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: ${name}${metadata}}
spec: ${spec}
`;
const entry = (spec: string, name = "api", metadata = ""): string => document("ServiceEntry", name, spec, metadata);
const workload = (name: string, spec: string, metadata = ""): string => document("WorkloadEntry", name, spec, metadata);
const service = (name: string, spec: string, metadata = ""): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}${metadata}}
spec: ${spec}
`;

const hostOf = (yaml: string, hostname = "api.example.com"): Host => {
  const host = meshOf(yaml).hosts.get(hostname);
  if (host === undefined) throw new Error(`no host ${hostname}`);
  return host;
};
const endpointsAt = (yaml: string, port = 80, hostname = "api.example.com"): readonly string[] =>
  (hostOf(yaml, hostname).endpoints.get(port) ?? []).map(({ address, port: number, weight }) => `${address}:${number}${weight === 1 ? "" : ` x${weight}`}`);

describe("hosts of ServiceEntries", () => {
  it.each([
    { resolution: "NONE", expected: "original" },
    { resolution: "STATIC", expected: "known" },
    { resolution: "DNS", expected: "dns" },
    { resolution: "DNS_ROUND_ROBIN", expected: "dns-round-robin" },
    { resolution: "DYNAMIC_DNS", expected: "dynamic-dns" },
  ])("are found by $expected where resolution is $resolution", ({ resolution, expected }) => {
    expect(hostOf(entry(`{hosts: ["*.example.com"], ports: [{number: 80, name: http}], resolution: ${resolution}}`), "*.example.com").resolution).toBe(
      expected,
    );
  });

  it.each([
    { what: "the protocol of the port", port: "{number: 80, name: x, protocol: GRPC}", expected: "grpc" },
    { what: "the name where there is no protocol", port: "{number: 80, name: tls-x}", expected: "tls" },
    { what: "HTTPS as TLS", port: "{number: 80, name: x, protocol: HTTPS}", expected: "tls" },
    { what: "HTTP where nothing is said", port: "{number: 80, name: x}", expected: "http" },
  ])("read $what", ({ port, expected }) => {
    expect(hostOf(entry(`{hosts: [api.example.com], ports: [${port}]}`)).ports[0]?.protocol).toBe(expected);
  });

  it.each([
    { what: "the port of the host", ports: "{number: 80, name: http}", endpoint: "{address: 10.0.0.1}", expected: ["10.0.0.1:80"] },
    { what: "the target port", ports: "{number: 80, name: http, targetPort: 8080}", endpoint: "{address: 10.0.0.1}", expected: ["10.0.0.1:8080"] },
    {
      what: "the endpoint's own port of that name",
      ports: "{number: 80, name: http, targetPort: 8080}",
      endpoint: "{address: 10.0.0.1, ports: {http: 9000}, weight: 7}",
      expected: ["10.0.0.1:9000 x7"],
    },
    { what: "no port at a socket", ports: "{number: 80, name: http}", endpoint: "{address: unix:///run/api.sock}", expected: ["unix:///run/api.sock:0"] },
    { what: "nothing without an address", ports: "{number: 80, name: http}", endpoint: "{network: far}", expected: [] },
  ])("lead to $what", ({ ports, endpoint, expected }) => {
    expect(endpointsAt(entry(`{hosts: [api.example.com], ports: [${ports}], resolution: STATIC, endpoints: [${endpoint}]}`))).toEqual(expected);
  });

  it("are their own endpoints where DNS is to find them and none are written", () => {
    const yaml = entry("{hosts: [api.example.com, www.example.com], ports: [{number: 443, name: tls, targetPort: 8443}], resolution: DNS}");
    expect(endpointsAt(yaml, 443)).toEqual(["api.example.com:8443"]);
    expect(endpointsAt(yaml, 443, "www.example.com")).toEqual(["www.example.com:8443"]);
  });

  it("select pods and WorkloadEntries of their namespace alike", () => {
    const yaml =
      deployment("vm", "app: vm", "eu-1a") +
      workload("vm-1", "{address: 10.1.1.1, labels: {app: vm}, ports: {http: 7000}}") +
      workload("vm-2", "{address: vm.example.com}", ", labels: {app: vm}") +
      workload("elsewhere", "{address: 10.9.9.9, labels: {app: vm}}", ", namespace: other") +
      entry("{hosts: [api.example.com], ports: [{number: 9090, name: http}], resolution: STATIC, workloadSelector: {labels: {app: vm}}}");
    const found = endpointsAt(yaml, 9090);
    expect(found.slice(0, 1)).toEqual(["10.1.1.1:7000"]);
    expect(found.slice(1)).toEqual([expect.stringMatching(/^127\.80\..*:9090$/), "vm.example.com:9090"]);
  });

  it("take place, weight and labels from a WorkloadEntry, whose own labels win over those of its spec", () => {
    const spec = "{address: 10.1.1.1, labels: {app: vm, version: v1}, locality: eu-1/eu-1b/rack3, weight: 3, serviceAccount: vm}";
    const yaml =
      workload("vm-1", spec, ", labels: {version: v2}") +
      entry("{hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: STATIC, workloadSelector: {labels: {app: vm}}}");
    const [endpoint] = hostOf(yaml).endpoints.get(80) ?? [];
    expect(endpoint).toMatchObject({
      weight: 3,
      instance: { labels: { app: "vm", version: "v2" }, locality: { region: "eu-1", zone: "eu-1b", subzone: "rack3" } },
    });
    expect(endpoint?.instance.hasSidecar).toBe(true);
  });

  it("join where one namespace has several for one host with other ports", () => {
    const port = (number: number): string =>
      `{hosts: [api.example.com], ports: [{number: ${number}, name: http}], resolution: STATIC, endpoints: [{address: 10.0.0.${number}}]}`;
    const yaml = entry(port(80), "a") + entry(port(81), "b");
    expect(hostOf(yaml).ports.map(({ number }) => number)).toEqual([80, 81]);
    expect(endpointsAt(yaml, 81)).toEqual(["10.0.0.81:81"]);
    expect(meshOf(yaml).diagnostics).toEqual([]);
  });

  it("are each namespace's own where several have one of the same name, and a Service's name is nobody else's", () => {
    const of = (namespace: string, address: string, exportTo: string): string =>
      entry(
        `{hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: ${address}}], exportTo: [${exportTo}]}`,
        "api",
        `, namespace: ${namespace}`,
      );
    const mesh = meshOf(of("a", "10.0.0.1", '"."') + of("b", "10.0.0.2", '"*"') + of("c", "10.0.0.3", '"*"'));
    const seenFrom = (namespace: string) => visibleHost(mesh, "api.example.com", namespace)?.namespace;
    expect(["a", "b", "c", "d"].map(seenFrom)).toEqual(["a", "b", "c", "b"]);
    const squatter = entry("{hosts: [orders.default.svc.cluster.local], ports: [{number: 80, name: http}]}", "a-squatter", ", namespace: a");
    const squatted = meshOf(squatter + service("orders", "{ports: [{port: 80}]}"));
    expect(squatted.hosts.get("orders.default.svc.cluster.local")?.service.kind).toBe("Service");
  });

  it("are known to routes, subsets included", () => {
    const rule = document("DestinationRule", "api", "{host: api.example.com, subsets: [{name: v2, labels: {version: v2}}]}");
    const endpoints = "endpoints: [{address: 10.0.0.1, labels: {version: v1}}, {address: 10.0.0.2, labels: {version: v2}}]";
    const route = document("VirtualService", "api", "{hosts: [api.example.com], http: [{route: [{destination: {host: api.example.com, subset: v2}}]}]}");
    const yaml =
      deployment("product", "app: product", "eu-1a") +
      entry(`{hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: STATIC, ${endpoints}}`) +
      rule +
      route;
    const mesh: Mesh = meshOf(yaml);
    expect(mesh.diagnostics).toEqual([]);
    expect(resolveDestination(mesh, sidecar(mesh, "product"), "default", { host: "api.example.com", subset: "v2" }, 80)).toMatchObject({
      known: true,
      endpoints: 1,
    });
  });

  it.each([
    { resolution: "NONE", expected: { known: true, endpoints: 1 } },
    { resolution: "DYNAMIC_DNS", expected: { known: true, endpoints: 1 } },
    { resolution: "STATIC, endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2}]", expected: { known: true, endpoints: 2 } },
    { resolution: 'NONE, exportTo: ["other"]', expected: { known: false } },
  ])("with a wildcard are every name that it covers, where resolution is $resolution", ({ resolution, expected }) => {
    const route = document("VirtualService", "api", "{hosts: [shop.example.org], http: [{route: [{destination: {host: a.example.com}}]}]}");
    const yaml =
      deployment("product", "app: product", "eu-1a") +
      entry(`{hosts: ["*.example.com"], ports: [{number: 80, name: http}], resolution: ${resolution}}`) +
      route;
    const mesh = meshOf(yaml);
    expect(resolveDestination(mesh, sidecar(mesh, "product"), "default", { host: "a.example.com" }, 80)).toMatchObject({
      hostname: "a.example.com",
      ...expected,
    });
    expect(mesh.diagnostics.map(({ code }) => code)).toEqual(expected.known ? [] : ["WEFT0401"]);
  });
});

describe("Services with something else behind them", () => {
  it("have WorkloadEntries with an IP address as endpoints", () => {
    const yaml =
      workload("vm-1", "{address: 10.1.1.1, labels: {app: vm}}") +
      workload("vm-2", "{address: 10.1.1.2, labels: {app: vm}, ports: {web: 7000}}") +
      workload("vm-3", "{address: vm.example.com, labels: {app: vm}}") +
      service("vm", "{selector: {app: vm}, ports: [{name: web, port: 80, targetPort: 8080}]}");
    expect(endpointsAt(yaml, 80, "vm.default.svc.cluster.local")).toEqual(["10.1.1.1:8080", "10.1.1.2:7000"]);
  });

  it("leave out a WorkloadEntry that does not say where a named port is", () => {
    const yaml =
      workload("vm-1", "{address: 10.1.1.1, labels: {app: vm}}") +
      workload("vm-2", "{address: 10.1.1.2, labels: {app: vm}, ports: {app-port: 7000}}") +
      service("vm", "{selector: {app: vm}, ports: [{name: web, port: 80, targetPort: app-port}]}");
    expect(endpointsAt(yaml, 80, "vm.default.svc.cluster.local")).toEqual(["10.1.1.2:7000"]);
  });

  it("are found by DNS under their external name", () => {
    const yaml = service("far", "{type: ExternalName, externalName: API.example.com, ports: [{port: 80, targetPort: 8080}]}");
    expect(hostOf(yaml, "far.default.svc.cluster.local")).toMatchObject({ resolution: "dns", external: true });
    expect(endpointsAt(yaml, 80, "far.default.svc.cluster.local")).toEqual(["api.example.com:8080"]);
    expect(meshOf(yaml).diagnostics).toEqual([]);
  });

  it("are another name for a host of the mesh where the external name is one", () => {
    const yaml =
      deployment("orders", "app: orders", "eu-1a") +
      service("orders", "{selector: {app: orders}, ports: [{port: 9090}]}") +
      service("near", "{type: ExternalName, externalName: orders.default.svc.cluster.local}") +
      service("nearer", "{type: ExternalName, externalName: near.default.svc.cluster.local}");
    const host = hostOf(yaml, "nearer.default.svc.cluster.local");
    expect(host).toMatchObject({ aliasOf: "orders.default.svc.cluster.local", resolution: "known", external: false });
    expect(host.endpoints.get(9090)).toHaveLength(1);
  });

  it("do not follow external names in a circle", () => {
    const yaml =
      service("a", "{type: ExternalName, externalName: b.default.svc.cluster.local, ports: [{port: 80}]}") +
      service("b", "{type: ExternalName, externalName: a.default.svc.cluster.local, ports: [{port: 80}]}");
    expect(hostOf(yaml, "a.default.svc.cluster.local").resolution).toBe("dns");
  });
});
