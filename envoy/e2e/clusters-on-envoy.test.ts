// Envoy itself reads every form of cluster and endpoint assignment that translation gives, before anything is built on them.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { BootstrapSchema } from "../../control-plane/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from "../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ApiConfigSource_ApiType, ApiVersion } from "../../control-plane/gen/envoy/config/core/v3/config_source_pb.js";
import { ClusterLoadAssignmentSchema } from "../../control-plane/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { deployment, meshOf, sidecar } from "../../control-plane/test/mesh-of.ts";
import { createClusterTranslation } from "../../control-plane/translate/clusters.ts";
import { ensureEnvoy } from "../install.ts";

const run = promisify(execFile);

const POLICIES: Readonly<Record<string, string>> = {
  plain: "{loadBalancer: {simple: RANDOM}}",
  warm: "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 20, aggression: 1.5}}}",
  ring: "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}",
  maglev: "{loadBalancer: {consistentHash: {httpHeaderName: x-user, maglev: {tableSize: 1009}}}}",
  labels: '{loadBalancer: {localityLbSetting: {failoverPriority: ["version=v2", "topology.kubernetes.io/zone"]}}}',
  alike: "{loadBalancer: {localityLbSetting: {enabled: false}}}",
  weights:
    '{loadBalancer: {localityLbSetting: {distribute: [{from: "eu-1/*", to: {"eu-1/eu-1a/*": 70, "eu-1/eu-1b/*": 30}}]}}, connectionPool: {tcp: {maxConnections: 9}}}',
  outlier: "{outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, minHealthPercent: 20, maxEjectionPercent: 50}}",
  split: "{outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}}",
  pool: "{connectionPool: {tcp: {connectTimeout: 1s, idleTimeout: 5s, maxConnectionDuration: 60s, tcpKeepalive: {time: 5s}}, http: {maxRequestsPerConnection: 9, h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 5s, timeout: 1s}}}, retryBudget: {percent: 25}}",
  client: "{connectionPool: {http: {useClientProtocol: true}}}",
};

function meshWith(trafficPolicy: string, port: string, defaults: string) {
  return meshOf(`
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {defaults: ${defaults}}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: ${port}, port: 9090, targetPort: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec: {host: orders, trafficPolicy: ${trafficPolicy}}
${deployment("product", "app: product", "eu-1a")}
${["eu-1a", "eu-1b", "us-1x"].map((zone, index) => deployment(`orders-${zone}`, `app: orders, version: v${index + 1}`, zone)).join("")}
`);
}

/** The clusters of one policy as they are, and each once more with its endpoints inside, so that those are read too. */
function clustersOf(name: string, trafficPolicy: string, port: string, defaults: string): readonly Cluster[] {
  const mesh = meshWith(trafficPolicy, port, defaults);
  const translation = createClusterTranslation(mesh);
  const key = { hostname: "orders.default.svc.cluster.local", port: 9090, subset: "" };
  const proxy = sidecar(mesh, "product");
  const outbound = [translation.outbound(proxy, key), translation.outbound(proxy, { ...key, zone: "eu-1b" })].flatMap(([cluster, endpoints], index) => {
    const message = fromBinary(ClusterSchema, cluster.body);
    if (endpoints === undefined) return [{ ...message, name: `${name}-${port}-${defaults}-${index}` }];
    const loadAssignment = fromBinary(ClusterLoadAssignmentSchema, endpoints.body);
    const { edsClusterConfig: _, ...rest } = message;
    const inside = create(ClusterSchema, { ...rest, clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC }, loadAssignment });
    return [
      { ...message, name: `${name}-${port}-${defaults}-${index}-eds` },
      { ...inside, name: `${name}-${port}-${defaults}-${index}-static` },
    ];
  });
  const inbound = proxy.inbound.map((inboundPort) => ({
    ...fromBinary(ClusterSchema, translation.inbound(proxy, inboundPort).body),
    name: `${name}-${port}-${defaults}-inbound`,
  }));
  return [...outbound, ...inbound];
}

/** What Envoy says of clusters that stand in a bootstrap file; it reads them as strictly as those that come by CDS. */
async function validate(clusters: readonly Cluster[]): Promise<string> {
  const xds = create(ClusterSchema, { name: "xds", clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC } });
  const bootstrap = create(BootstrapSchema, {
    node: { id: "test", cluster: "test" },
    staticResources: { clusters: [xds, ...clusters] },
    dynamicResources: {
      adsConfig: {
        apiType: ApiConfigSource_ApiType.DELTA_GRPC,
        transportApiVersion: ApiVersion.V3,
        grpcServices: [{ targetSpecifier: { case: "envoyGrpc", value: { clusterName: "xds" } } }],
      },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), "weft-clusters-"));
  try {
    const file = join(folder, "bootstrap.pb");
    await writeFile(file, toBinary(BootstrapSchema, bootstrap));
    const answer = await run(await ensureEnvoy(), ["--mode", "validate", "-c", file, "--log-level", "warning"]).catch((failure: unknown) => ({
      stdout: String(failure),
      stderr: "",
    }));
    return answer.stdout + answer.stderr;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("clusters on Envoy", () => {
  it("accepts the clusters and endpoints of every policy, protocol and set of defaults", async () => {
    const clusters = ["weft", "istio"].flatMap((defaults) =>
      ["http", "grpc", "tcp"].flatMap((port) => Object.entries(POLICIES).flatMap(([name, policy]) => clustersOf(name, policy, port, defaults))),
    );
    expect(await validate(clusters)).toContain("OK");
  });

  it("would refuse a Maglev table whose size is no prime, so that acceptance means something", async () => {
    const even = create(ClusterSchema, {
      name: "even",
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
      lbPolicy: Cluster_LbPolicy.MAGLEV,
      lbConfig: { case: "maglevLbConfig", value: { tableSize: 1000n } },
    });
    expect(await validate([even])).toMatch(/maglev.*prime/i);
  });
});
