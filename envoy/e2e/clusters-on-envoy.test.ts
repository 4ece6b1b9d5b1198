// Envoy itself reads every form of cluster and endpoint assignment that translation gives, before anything is built on them.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { createRoot, issueLeaf } from "../../control-plane/ca/certificates.ts";
import { BootstrapSchema } from "../../control-plane/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from "../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import {
  ApiConfigSource_ApiType,
  type ApiConfigSourceSchema,
  ApiVersion,
  ConfigSourceSchema,
} from "../../control-plane/gen/envoy/config/core/v3/config_source_pb.js";
import { ClusterLoadAssignmentSchema } from "../../control-plane/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { UpstreamTlsContextSchema } from "../../control-plane/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { clustersOf } from "../../control-plane/test/clusters-of.ts";
import { deployment, meshOf, sidecar } from "../../control-plane/test/mesh-of.ts";
import type { Init } from "../../control-plane/translate/init.ts";
import { LEAF_SECRET, ROOTS_SECRET } from "../../control-plane/translate/names.ts";
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
  budget: "{retryBudget: {percent: 25, minRetryConcurrency: 5, budgetInterval: 10s}}",
  codes: "{outlierDetection: {outlierDetectionHttpErrorCodes: [503, 429, 404]}}",
  code: "{outlierDetection: {outlierDetectionHttpErrorCodes: [503]}}",
  tls: "{tls: {mode: SIMPLE}}",
  names: "{tls: {mode: SIMPLE, sni: orders.example.com, subjectAltNames: [orders.example.com, spiffe://x/orders, 10.0.0.1]}}",
  unverified: "{tls: {mode: SIMPLE, insecureSkipVerify: true}}",
  proxied: "{proxyProtocol: {version: V2}}",
  both: "{proxyProtocol: {}, tls: {mode: SIMPLE, sni: orders.example.com}}",
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
function everyCluster(name: string, trafficPolicy: string, port: string, defaults: string): readonly Cluster[] {
  const mesh = meshWith(trafficPolicy, port, defaults);
  const translation = clustersOf(mesh);
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

const FROM_XDS: Init<typeof ApiConfigSourceSchema> = {
  apiType: ApiConfigSource_ApiType.DELTA_GRPC,
  transportApiVersion: ApiVersion.V3,
  grpcServices: [{ targetSpecifier: { case: "envoyGrpc", value: { clusterName: "xds" } } }],
};

/** The same cluster with its certificates from files: Envoy has no stream to ask while it checks a bootstrap file, and ends (SIGSEGV) where one is named. */
function withSecretsFrom(folder: string, cluster: Cluster): Cluster {
  const config = cluster.transportSocket?.configType;
  const context = config?.case === "typedConfig" ? anyUnpack(config.value, UpstreamTlsContextSchema) : undefined;
  if (context === undefined || cluster.transportSocket === undefined) return cluster;
  const validation = context.commonTlsContext?.validationContextType;
  const roots = validation?.case === "combinedValidationContext" ? validation.value.validationContextSdsSecretConfig : undefined;
  for (const secret of [...(context.commonTlsContext?.tlsCertificateSdsSecretConfigs ?? []), ...(roots === undefined ? [] : [roots])])
    secret.sdsConfig = create(ConfigSourceSchema, {
      configSourceSpecifier: { case: "pathConfigSource", value: { path: secretFile(folder, secret.name) } },
      resourceApiVersion: ApiVersion.V3,
    });
  return {
    ...cluster,
    transportSocket: { ...cluster.transportSocket, configType: { case: "typedConfig", value: anyPack(UpstreamTlsContextSchema, context) } },
  };
}

function secretFile(folder: string, name: string): string {
  return join(folder, `${name}.json`);
}

async function writeSecrets(folder: string): Promise<void> {
  const nowMs = Date.now();
  const root = await createRoot(1, nowMs);
  const leaf = await issueLeaf(root, { uri: "spiffe://cluster.local/ns/default/sa/product", nowMs, lifetimeMs: 3_600_000 });
  const inline = (text: string) => ({ inlineString: text });
  const secrets = {
    [LEAF_SECRET]: { tlsCertificate: { certificateChain: inline(leaf.chainPem), privateKey: inline(leaf.privateKey.reveal()) } },
    [ROOTS_SECRET]: { validationContext: { trustedCa: inline(root.rootsPem.join("")) } },
  };
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  for (const [name, secret] of Object.entries(secrets))
    await writeFile(secretFile(folder, name), JSON.stringify({ resources: [{ "@type": type, name, ...secret }] }), { mode: 0o600 });
}

/** What Envoy says of clusters that stand in a bootstrap file; it reads them as strictly as those that come by CDS. */
async function validate(clusters: readonly Cluster[]): Promise<string> {
  const xds = create(ClusterSchema, { name: "xds", clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC } });
  const folder = await mkdtemp(join(tmpdir(), "weft-clusters-"));
  const bootstrap = create(BootstrapSchema, {
    node: { id: "test", cluster: "test" },
    staticResources: { clusters: [xds, ...clusters.map((cluster) => withSecretsFrom(folder, cluster))] },
    dynamicResources: { adsConfig: FROM_XDS },
  });
  try {
    await writeSecrets(folder);
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

const POLICIES_OUTSIDE = ["{loadBalancer: {simple: RANDOM}}", "{tls: {mode: SIMPLE}}", "{tls: {mode: SIMPLE, insecureSkipVerify: true, sni: a.example.com}}"];
const ENTRIES: readonly string[] = [
  "resolution: STATIC, endpoints: [{address: 10.0.0.1, weight: 3}, {address: unix:///run/api.sock}]",
  "resolution: DNS",
  "resolution: DNS, endpoints: [{address: eu.example.com, locality: eu-1/eu-1a}, {address: us.example.com, locality: us-1/us-1x, weight: 2}, {address: 10.0.0.1}]",
  "resolution: DNS_ROUND_ROBIN",
  "resolution: NONE",
  "resolution: NONE, addresses: [10.0.0.9]",
  "resolution: DYNAMIC_DNS",
];

/** A host outside of the mesh in every form, for proxies that capture connections and for those that do not. */
function everyOutsideCluster(defaults: string): readonly Cluster[] {
  const entries = ENTRIES.flatMap((entry) =>
    (/NONE|DYNAMIC/.test(entry) ? ["api.example.com", "*.example.com"] : ["api.example.com"]).map((host) => ({ entry, host })),
  );
  return entries.flatMap(({ entry, host }, form) =>
    ["http", "grpc", "tcp", "tls"].flatMap((port) =>
      POLICIES_OUTSIDE.flatMap((policy, index) => {
        const mesh = meshOf(`
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {defaults: ${defaults}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: ["${host}"], ports: [{number: 443, name: ${port}, targetPort: 8443}], ${entry}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec: {host: "${host}", trafficPolicy: ${policy}}
${deployment("product", "app: product", "eu-1a")}
`);
        const proxy = sidecar(mesh, "product");
        return [false, true].flatMap((captures) => {
          const [cluster, endpoints] = clustersOf(mesh).outbound({ ...proxy, captures }, { hostname: host, port: 443, subset: "" });
          const message = fromBinary(ClusterSchema, cluster.body);
          const name = `outside-${defaults}-${form}-${port}-${index}-${captures}`;
          if (endpoints === undefined) return [{ ...message, name }];
          const { edsClusterConfig: _, ...rest } = message;
          const loadAssignment = fromBinary(ClusterLoadAssignmentSchema, endpoints.body);
          const inside = create(ClusterSchema, { ...rest, clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC }, loadAssignment });
          return [
            { ...message, name: `${name}-eds` },
            { ...inside, name: `${name}-static` },
          ];
        });
      }),
    ),
  );
}

describe("clusters on Envoy", () => {
  it.each(["weft", "istio"])("accepts hosts outside of the mesh in every form under the defaults of %s", async (defaults) => {
    const clusters = everyOutsideCluster(defaults);
    expect(clusters.length).toBeGreaterThan(200);
    const answer = await validate(clusters);
    expect(answer).toContain("OK");
    expect(answer).not.toContain("Deprecated");
  });

  it("accepts the clusters and endpoints of every policy, protocol and set of defaults", async () => {
    const clusters = ["weft", "istio"].flatMap((defaults) =>
      ["http", "grpc", "tcp"].flatMap((port) => Object.entries(POLICIES).flatMap(([name, policy]) => everyCluster(name, policy, port, defaults))),
    );
    const answer = await validate(clusters);
    expect(answer).toContain("OK");
    expect(answer).not.toContain("Deprecated");
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
