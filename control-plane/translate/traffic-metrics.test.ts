import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type AccessLog, AccessLogSchema } from "../gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { AccessLogType } from "../gen/envoy/data/accesslog/v3/accesslog_pb.js";
import { type Config, ConfigSchema } from "../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { gatewayProxy, meshOf, sidecar } from "../test/mesh-of.ts";
import { createClusterTranslation } from "./clusters.ts";
import { ENDPOINT_LABELS, trafficMetrics } from "./traffic-metrics.ts";

const PROXY: Proxy = { ...gatewayProxy("eu-1a", { app: "product", version: "v3" }), kind: "sidecar", namespace: "shop", workload: "product-a", metrics: "all" };

const logsOf = (...args: Parameters<typeof trafficMetrics>): readonly AccessLog[] => trafficMetrics(...args).map((log) => create(AccessLogSchema, log));

function configOf({ configType }: AccessLog): Config {
  if (configType.case !== "typedConfig") throw new Error("no configuration");
  return fromBinary(ConfigSchema, configType.value.value);
}

const namesOf = ({ counters, histograms }: Config): readonly string[] => [...counters, ...histograms].map(({ stat }) => stat?.name ?? "");

function labelsOf(config: Config): Readonly<Record<string, string>> {
  return Object.fromEntries((config.counters[0]?.stat?.tags ?? []).map(({ name, valueFormat }) => [name, valueFormat]));
}

/** Those of Istio's standard metrics that the issue names, and the zones. */
const LABELS = [
  "connection_security_policy",
  "reporter",
  "request_protocol",
  "response_code",
  "response_flags",
  ...["app", "principal", "service", "service_name", "service_namespace", "version", "workload", "workload_namespace", "zone"].map(
    (name) => `destination_${name}`,
  ),
  ...["app", "principal", "version", "workload", "workload_namespace", "zone"].map((name) => `source_${name}`),
].sort();

describe("metrics of traffic", () => {
  it("counts nothing for a proxy that is not to", () => {
    const { metrics: _, ...silent } = PROXY;
    expect(trafficMetrics("request", "outbound", silent)).toEqual([]);
    expect(trafficMetrics("connection", "inbound", silent)).toEqual([]);
  });

  it.each(["outbound", "inbound"] as const)("gives %s requests all of Istio's labels, the same for each metric", (direction) => {
    const [log] = logsOf("request", direction, PROXY).map(configOf);
    if (log === undefined) throw new Error("no log");
    expect(namesOf(log)).toEqual(["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"]);
    expect(Object.keys(labelsOf(log)).sort()).toEqual(LABELS);
    const tags = [...log.counters, ...log.histograms].map(({ stat }) => stat?.tags);
    for (const other of tags) expect(other).toEqual(tags[0]);
  });

  it("leaves the bytes of requests out where only requests are to be counted", () => {
    expect(
      logsOf("request", "outbound", { ...PROXY, metrics: "requests" })
        .map(configOf)
        .map(namesOf),
    ).toEqual([["requests_total", "request_duration_milliseconds"]]);
  });

  it("has the caller know itself, and the callee by its endpoint and cluster", () => {
    const [log] = logsOf("request", "outbound", PROXY).map(configOf);
    expect(log && labelsOf(log)).toMatchObject({
      reporter: "source",
      source_workload: "product-a",
      source_workload_namespace: "shop",
      source_app: "product",
      source_version: "v3",
      source_zone: "eu-1a",
      destination_workload: "%UPSTREAM_METADATA(weft:w)%",
      destination_zone: "%UPSTREAM_METADATA(weft:z)%",
      destination_service: "%CLUSTER_METADATA(weft:service)%",
      connection_security_policy: "unknown",
    });
  });

  it("has the callee know itself, and of the caller what its certificate says", () => {
    const [log] = logsOf("request", "inbound", PROXY).map(configOf);
    expect(log && labelsOf(log)).toMatchObject({
      reporter: "destination",
      source_workload: "unknown",
      source_principal: "%DOWNSTREAM_PEER_URI_SAN%",
      destination_workload: "product-a",
      destination_version: "v3",
      destination_principal: "%DOWNSTREAM_LOCAL_URI_SAN%",
    });
  });

  it("says unknown of what a proxy has no label for", () => {
    const [log] = logsOf("request", "outbound", { ...PROXY, labels: {}, locality: { region: "", zone: "", subzone: "" } }).map(configOf);
    expect(log && labelsOf(log)).toMatchObject({ source_app: "unknown", source_version: "unknown", source_zone: "unknown" });
  });

  it("counts connections when they begin and when they end", () => {
    const logs = logsOf("connection", "outbound", PROXY);
    expect(logs.map((log) => [log.filter?.filterSpecifier.value, namesOf(configOf(log))])).toMatchObject([
      [{ types: [AccessLogType.TcpUpstreamConnected] }, ["tcp_connections_opened_total"]],
      [{ types: [AccessLogType.TcpConnectionEnd] }, ["tcp_connections_closed_total", "tcp_sent_bytes_total", "tcp_received_bytes_total"]],
    ]);
  });

  it("bounds the number of label sets, over all listeners of a proxy together", () => {
    for (const log of [...logsOf("request", "outbound", PROXY), ...logsOf("connection", "inbound", PROXY)]) {
      expect(configOf(log).statsScope).toMatchObject({
        prefix: "istio",
        sharingName: "istio",
        maxCounters: expect.any(Number),
        maxHistograms: expect.any(Number),
      });
    }
  });
});

const SHOP = `
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders-app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-a}
spec:
  selector: {matchLabels: {app: orders-app}}
  template:
    metadata: {labels: {app: orders-app}}
    spec: {containers: [{name: main, image: "main:1", ports: [{containerPort: 8080}]}]}
`;

it("has the clusters on both sides say which service is called", () => {
  const mesh = meshOf(SHOP);
  const clusters = createClusterTranslation(mesh);
  const proxy = sidecar(mesh, "orders-a");
  const [outbound] = clusters.outbound(proxy, { hostname: "orders.default.svc.cluster.local", port: 80, subset: "" });
  const inbound = clusters.inbound(proxy, {
    containerPort: 8080,
    listen: { address: "127.0.0.2", port: 8080 },
    application: { address: "127.0.0.2", port: 1 },
  });
  const said = { weft: { service: "orders.default.svc.cluster.local", name: "orders", namespace: "default", app: "orders-app" } };
  expect([outbound, inbound].map(({ body }) => fromBinary(ClusterSchema, body).metadata?.filterMetadata)).toEqual([said, said]);
  expect(Object.values(ENDPOINT_LABELS).every((key) => key.length === 1)).toBe(true);
});

it.each([
  ["all", "all"],
  ["requests", "requests"],
  ["none", undefined],
])("counts %s where the MeshConfig says so, by the same objects as before", (setting, metrics) => {
  const config = `---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {metrics: ${setting}}\n`;
  const mesh = meshOf(SHOP + config, { gateways: [PROXY] });
  const found = mesh.proxies.find(({ id }) => id === PROXY.id);
  expect(found?.metrics).toBe(metrics);
  expect(meshOf(SHOP + config, { gateways: [PROXY] }).proxies.find(({ id }) => id === PROXY.id)).toBe(found);
});
