import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import type { Mesh } from "../mesh/mesh.ts";
import { clustersOf } from "../test/clusters-of.ts";
import { deployment, meshOf, sidecar } from "../test/mesh-of.ts";
import type { ClusterKey } from "./names.ts";

const ORDERS = "orders.default.svc.cluster.local";
const KEY: ClusterKey = { hostname: ORDERS, port: 9090, subset: "" };

/** product in zones a and b, orders in a, b, c of one region and x of another. */
function shop(trafficPolicy = "{}", options: { readonly port?: string; readonly config?: string; readonly subsets?: string } = {}): Mesh {
  const rule = trafficPolicy === "{}" ? "" : `trafficPolicy: ${trafficPolicy}, `;
  return meshOf(`
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: ${options.port ?? "http"}, port: 9090, targetPort: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec: {host: orders, ${rule}subsets: [{name: v1, labels: {version: v1}}]}
${options.config === undefined ? "" : `---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: ${options.config}\n`}
${["a", "b"].map((zone) => deployment(`product-${zone}`, "app: product", `eu-1${zone}`)).join("")}
${deployment("product-a2", "app: product", "eu-1a")}
${["eu-1a", "eu-1b", "eu-1c", "us-1x"].map((zone, index) => deployment(`orders-${zone}`, `app: orders, version: v${index < 2 ? 1 : 2}`, zone)).join("")}
`);
}

const translated = (mesh: Mesh, workload = "product-a", key = KEY) => {
  const [cluster, endpoints] = clustersOf(mesh).outbound(sidecar(mesh, workload), key);
  if (endpoints === undefined) throw new Error("no endpoint assignment");
  const assignment = fromBinary(ClusterLoadAssignmentSchema, endpoints.body);
  return {
    cluster: fromBinary(ClusterSchema, cluster.body),
    resource: cluster,
    endpoints,
    places: assignment.endpoints.map(({ locality, priority, lbEndpoints, loadBalancingWeight }) => [
      locality?.zone,
      priority,
      lbEndpoints.length,
      loadBalancingWeight,
    ]),
    assignment,
  };
};
const httpOptions = (cluster: Cluster) => {
  const any = cluster.typedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
  return any && anyUnpack(any, HttpProtocolOptionsSchema);
};

describe("outbound clusters", () => {
  it("has Istio's name, its endpoints by ADS, and an EDS name for the caller's zone", () => {
    const { cluster, resource, endpoints } = translated(shop());
    expect(resource).toMatchObject({ type: "cluster", name: `outbound|9090||${ORDERS}`, needs: [`endpoint/${endpoints.name}`] });
    expect(endpoints.name).toBe(`outbound|9090||${ORDERS};from=eu-1/eu-1a`);
    expect(cluster.clusterDiscoveryType).toEqual({ case: "type", value: Cluster_DiscoveryType.EDS });
    expect(cluster.edsClusterConfig).toMatchObject({ serviceName: endpoints.name, edsConfig: { configSourceSpecifier: { case: "ads" } } });
    expect(resource.origins.map((origin) => origin.resource)).toEqual(["DestinationRule default/orders", "Service default/orders"]);
  });

  it.each([
    {
      what: "own zone, own region, the rest",
      policy: "{}",
      from: "product-b",
      places: [
        ["eu-1b", 0],
        ["eu-1a", 1],
        ["eu-1c", 1],
        ["us-1x", 2],
      ],
    },
    {
      what: "all alike where locality is off",
      policy: "{loadBalancer: {localityLbSetting: {enabled: false}}}",
      from: "product-a",
      places: [
        ["eu-1a", 0],
        ["eu-1b", 0],
        ["eu-1c", 0],
        ["us-1x", 0],
      ],
    },
    {
      what: "by labels where failoverPriority names some",
      policy: '{loadBalancer: {localityLbSetting: {failoverPriority: ["version=v2"]}}}',
      from: "product-a",
      places: [
        ["eu-1c", 0],
        ["us-1x", 0],
        ["eu-1a", 1],
        ["eu-1b", 1],
      ],
    },
    {
      what: "by places where failoverPriority names topology",
      policy: '{loadBalancer: {localityLbSetting: {failoverPriority: ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]}}}',
      from: "product-a",
      places: [
        ["eu-1a", 0],
        ["eu-1b", 1],
        ["eu-1c", 1],
        ["us-1x", 2],
      ],
    },
  ])("orders endpoints: $what", ({ policy, from, places }) => {
    expect(translated(shop(policy), from).places.map(([zone, priority]) => [zone, priority])).toEqual(places);
  });

  it("leaves no gap where the caller's zone has no endpoint", () => {
    const { places } = translated(shop(), "product-a", { ...KEY, subset: "v1" });
    expect(places.map(([zone, priority]) => [zone, priority])).toEqual([
      ["eu-1a", 0],
      ["eu-1b", 1],
    ]);
    const service = "apiVersion: v1\nkind: Service\nmetadata: {name: orders}\nspec: {selector: {app: orders}, ports: [{port: 9090}]}\n";
    const away = meshOf(service + deployment("product", "app: product", "eu-1z") + deployment("orders", "app: orders", "eu-1a"));
    expect(translated(away, "product").places.map(([, priority]) => priority)).toEqual([0]);
  });

  it("prefers the zone of a zone cluster, alike for every caller", () => {
    const mesh = shop();
    const key = { ...KEY, zone: "eu-1c" };
    const { endpoints, places, resource } = translated(mesh, "product-a", key);
    expect(resource.name).toBe(`outbound|9090||${ORDERS};zone=eu-1c`);
    expect(endpoints.name).toBe(resource.name);
    expect(places.map(([zone, priority]) => [zone, priority])).toEqual([
      ["eu-1c", 0],
      ["eu-1a", 1],
      ["eu-1b", 1],
      ["us-1x", 2],
    ]);
    const translation = clustersOf(mesh);
    expect(translation.outbound(sidecar(mesh, "product-a"), key)).toBe(translation.outbound(sidecar(mesh, "product-b"), key));
  });

  it("shares one object between proxies of one zone, and only between those", () => {
    const mesh = shop();
    const translation = clustersOf(mesh);
    const [a, a2, b] = ["product-a", "product-a2", "product-b"].map((workload) => translation.outbound(sidecar(mesh, workload), KEY));
    expect(a2).toBe(a);
    expect(b).not.toBe(a);
  });

  it("weights places inside one cluster where limits and distribute meet, the others standing by", () => {
    const distribute = 'localityLbSetting: {distribute: [{from: "eu-1/eu-1a/*", to: {"eu-1/eu-1a/*": 70, "eu-1/eu-1b/*": 30}}]}';
    const policy = `{loadBalancer: {${distribute}}, connectionPool: {tcp: {maxConnections: 9}}}`;
    const { cluster, places } = translated(shop(policy));
    expect(places).toEqual([
      ["eu-1a", 0, 1, 70],
      ["eu-1b", 0, 1, 30],
      ["eu-1c", 1, 1, 1],
      ["us-1x", 1, 1, 1],
    ]);
    expect(cluster.commonLbConfig?.localityConfigSpecifier.case).toBe("localityWeightedLbConfig");
    expect(cluster.circuitBreakers?.thresholds[0]).toMatchObject({ maxConnections: 9, maxRequests: 2 ** 32 - 1 });
    expect(translated(shop(`{loadBalancer: {${distribute}}}`, { config: "{defaults: istio}" })).places.map(([zone]) => zone)).toEqual(["eu-1a", "eu-1b"]);
  });

  it("has Istio's priorities under Istio's defaults only with outlier detection", () => {
    const config = "{defaults: istio}";
    const priorities = (policy: string) => translated(shop(policy, { config })).places.map(([, priority]) => priority);
    expect(priorities("{}")).toEqual([0, 0, 0, 0]);
    expect(priorities("{outlierDetection: {}}")).toEqual([0, 1, 1, 2]);
  });

  it("says who an endpoint is", () => {
    const fields = translated(shop()).assignment.endpoints[0]?.lbEndpoints[0]?.metadata?.filterMetadata.weft;
    expect(fields).toEqual({ w: "orders-eu-1a", v: "v1", z: "eu-1a" });
  });

  it("gives a host that does not exist a cluster without endpoints", () => {
    const { cluster, places } = translated(shop(), "product-a", { hostname: "nobody.default.svc.cluster.local", port: 80, subset: "" });
    expect(cluster.name).toBe("outbound|80||nobody.default.svc.cluster.local");
    expect(places).toEqual([]);
  });

  it("gives equal bytes for equal meshes", () => {
    const bodies = () =>
      clustersOf(shop())
        .outbound(sidecar(shop(), "product-a"), KEY)
        .map(({ body }) => body);
    expect(bodies()).toEqual(bodies());
  });
});

describe("policies of outbound clusters", () => {
  it.each([
    { written: "{loadBalancer: {simple: ROUND_ROBIN}}", policy: Cluster_LbPolicy.ROUND_ROBIN, config: undefined },
    { written: "{}", policy: Cluster_LbPolicy.LEAST_REQUEST, config: undefined },
    { written: "{loadBalancer: {simple: RANDOM}}", policy: Cluster_LbPolicy.RANDOM, config: undefined },
    {
      written: "{loadBalancer: {consistentHash: {httpHeaderName: x}}}",
      policy: Cluster_LbPolicy.RING_HASH,
      config: { case: "ringHashLbConfig", value: { minimumRingSize: 1024n } },
    },
    {
      written: "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}",
      policy: Cluster_LbPolicy.MAGLEV,
      config: { case: "maglevLbConfig", value: { tableSize: 65537n } },
    },
    {
      written: "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s}}}",
      policy: Cluster_LbPolicy.ROUND_ROBIN,
      config: { case: "roundRobinLbConfig", value: { slowStartConfig: { slowStartWindow: { seconds: 30n }, minWeightPercent: { value: 10 } } } },
    },
  ])("balances as $written says", ({ written, policy, config }) => {
    const { cluster } = translated(shop(written));
    expect(cluster.lbPolicy).toBe(policy);
    expect(cluster.lbConfig).toMatchObject(config ?? { case: undefined });
  });

  it("ejects a zone's only endpoint by default, briefly, and never on plain errors of the application", () => {
    const { cluster } = translated(shop());
    expect(cluster.outlierDetection).toMatchObject({
      consecutiveGatewayFailure: 3,
      enforcingConsecutiveGatewayFailure: 100,
      enforcingConsecutive5xx: 0,
      enforcingSuccessRate: 0,
      maxEjectionPercent: 100,
      baseEjectionTime: { seconds: 2n },
    });
    expect(cluster.commonLbConfig?.healthyPanicThreshold?.value).toBe(1);
    expect(cluster.connectTimeout).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
  });

  it("has no outlier detection, and waits ten seconds, under Istio's defaults", () => {
    const { cluster } = translated(shop("{}", { config: "{defaults: istio}" }));
    expect(cluster.outlierDetection).toBeUndefined();
    expect(cluster.connectTimeout).toMatchObject({ seconds: 10n });
  });

  it.each([
    {
      written: "{}",
      expected: { consecutive5xx: 5, enforcingConsecutive5xx: 100, interval: { seconds: 10n }, baseEjectionTime: { seconds: 30n }, maxEjectionPercent: 10 },
    },
    {
      written: "{consecutive5xxErrors: 0, consecutiveGatewayErrors: 2}",
      expected: { enforcingConsecutive5xx: 0, consecutiveGatewayFailure: 2, enforcingConsecutiveGatewayFailure: 100 },
    },
    {
      written: "{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4}",
      expected: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailure: 4, enforcingConsecutiveLocalOriginFailure: 100 },
    },
  ])("completes outlierDetection $written as Istio does", ({ written, expected }) => {
    expect(translated(shop(`{outlierDetection: ${written}}`)).cluster.outlierDetection).toMatchObject(expected);
  });

  it("takes minHealthPercent as the threshold below which all are asked", () => {
    expect(translated(shop("{outlierDetection: {minHealthPercent: 30}}")).cluster.commonLbConfig?.healthyPanicThreshold?.value).toBe(30);
  });

  it("turns limits into circuit breakers and times into options", () => {
    const pool =
      "{tcp: {maxConnections: 1, connectTimeout: 250ms, maxConnectionDuration: 60s, tcpKeepalive: {probes: 3, time: 5s, interval: 1s}}, http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5, idleTimeout: 6s}}";
    const { cluster } = translated(shop(`{connectionPool: ${pool}, retryBudget: {percent: 50}}`));
    expect(cluster.circuitBreakers?.thresholds).toMatchObject([
      { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 4, retryBudget: { budgetPercent: { value: 50 }, minRetryConcurrency: 3 } },
    ]);
    expect(cluster.connectTimeout).toMatchObject({ nanos: 250_000_000 });
    expect(cluster.upstreamConnectionOptions?.tcpKeepalive).toMatchObject({ keepaliveProbes: 3, keepaliveTime: 5, keepaliveInterval: 1 });
    expect(httpOptions(cluster)?.commonHttpProtocolOptions).toMatchObject({
      idleTimeout: { seconds: 6n },
      maxRequestsPerConnection: 5,
      maxConnectionDuration: { seconds: 60n },
    });
  });

  it("says nothing about HTTP/1.1 with Envoy's own idle time, which is what most clusters would say", () => {
    expect(httpOptions(translated(shop()).cluster)).toBeUndefined();
  });

  it.each([
    {
      what: "HTTP/1.1 to http ports, and says so where it has more to say",
      port: "http",
      policy: "{connectionPool: {http: {maxRequestsPerConnection: 5}}}",
      expected: { case: "explicitHttpConfig", value: { protocolConfig: { case: "httpProtocolOptions" } } },
    },
    {
      what: "HTTP/2 to grpc ports",
      port: "grpc",
      policy: "{}",
      expected: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions" } } },
    },
    {
      what: "HTTP/2 where UPGRADE is written",
      port: "http",
      policy: "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 7}}}",
      expected: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions", value: { maxConcurrentStreams: 7 } } } },
    },
    {
      what: "what the client speaks where useClientProtocol is written",
      port: "http",
      policy: "{connectionPool: {http: {useClientProtocol: true}}}",
      expected: { case: "useDownstreamProtocolConfig" },
    },
  ])("speaks $what", ({ port, policy, expected }) => {
    expect(httpOptions(translated(shop(policy, { port })).cluster)?.upstreamProtocolOptions).toMatchObject(expected);
  });

  it("has no HTTP options on a port of bytes", () => {
    expect(translated(shop("{}", { port: "tcp" })).cluster.typedExtensionProtocolOptions).toEqual({});
  });
});

describe("inbound clusters", () => {
  it("leads to the application beside the proxy, and drops idle connections before common servers do", () => {
    const mesh = shop();
    const proxy = sidecar(mesh, "orders-eu-1a");
    const [port] = proxy.inbound;
    if (port === undefined) throw new Error("no inbound port");
    const resource = clustersOf(mesh).inbound(proxy, port);
    const cluster = fromBinary(ClusterSchema, resource.body);
    expect(resource).toMatchObject({ type: "cluster", name: "inbound|9090||", needs: [] });
    const address = cluster.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier;
    expect(address).toMatchObject({
      case: "endpoint",
      value: { address: { address: { value: { address: port.application.address, portSpecifier: { value: port.application.port } } } } },
    });
    expect(httpOptions(cluster)?.commonHttpProtocolOptions?.idleTimeout).toMatchObject({ seconds: 4n });
    expect(cluster.outlierDetection).toBeUndefined();
  });
});
