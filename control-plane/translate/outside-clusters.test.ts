import { fromBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { type DnsCluster, DnsClusterSchema } from "../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.js";
import { ClusterConfigSchema } from "../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import { ProxyProtocolUpstreamTransportSchema } from "../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import { clustersOf } from "../test/clusters-of.ts";
import { deployment, meshOf, sidecar } from "../test/mesh-of.ts";

const document = (kind: string, name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: ${name}}
spec: ${spec}
`;
const entry = (more: string, port = "{number: 80, name: http}", host = "api.example.com"): string =>
  document("ServiceEntry", "api", `{hosts: ["${host}"], ports: [${port}], ${more}}`);
const rule = (trafficPolicy: string, host = "api.example.com"): string =>
  document("DestinationRule", "api", `{host: "${host}", trafficPolicy: ${trafficPolicy}}`);
const config = (spec: string): string => `---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: ${spec}\n`;

interface Asked {
  readonly hostname?: string;
  readonly port?: number;
  readonly subset?: string;
  readonly change?: Partial<Proxy>;
}

const translated = (yaml: string, { hostname = "api.example.com", port = 80, subset = "", change = {} }: Asked = {}) => {
  const mesh = meshOf(deployment("product", "app: product", "eu-1a") + yaml);
  const [cluster, endpoints] = clustersOf(mesh).outbound({ ...sidecar(mesh, "product"), ...change }, { hostname, port, subset });
  return { cluster: fromBinary(ClusterSchema, cluster.body), endpoints, resource: cluster };
};
const addresses = ({ loadAssignment }: Cluster): readonly unknown[] =>
  (loadAssignment?.endpoints ?? []).flatMap(({ lbEndpoints }) =>
    lbEndpoints.map(({ hostIdentifier }) => (hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address.value : undefined)),
  );
const httpOptions = (cluster: Cluster) => {
  const any = cluster.typedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
  return any && anyUnpack(any, HttpProtocolOptionsSchema);
};
const tlsOf = ({ transportSocket }: Cluster) =>
  transportSocket?.configType.case === "typedConfig" ? anyUnpack(transportSocket.configType.value, UpstreamTlsContextSchema) : undefined;
const discovery = ({ clusterDiscoveryType: { case: kind, value } }: Cluster): string =>
  kind === "type" ? Cluster_DiscoveryType[value] : kind === "clusterType" ? (dnsKind(value.typedConfig) ?? value.name) : "";
const dnsOf = (config: Any | undefined): DnsCluster | undefined => config && anyUnpack(config, DnsClusterSchema);
const dnsKind = (config: Any | undefined): string | undefined => {
  const dns = dnsOf(config);
  return dns && (dns.allAddressesInSingleEndpoint ? "LOGICAL_DNS" : "STRICT_DNS");
};

describe("clusters of hosts outside of the mesh", () => {
  it.each([
    { what: "STATIC", yaml: entry("resolution: STATIC, endpoints: [{address: 10.0.0.1}]"), expected: "EDS" },
    { what: "DNS", yaml: entry("resolution: DNS"), expected: "STRICT_DNS" },
    { what: "DNS_ROUND_ROBIN", yaml: entry("resolution: DNS_ROUND_ROBIN"), expected: "LOGICAL_DNS" },
    { what: "NONE, where the proxy is called at its own address", yaml: entry("resolution: NONE"), expected: "LOGICAL_DNS" },
    { what: "NONE with addresses, likewise", yaml: entry("resolution: NONE, addresses: [10.0.0.9]"), expected: "EDS" },
    { what: "NONE, where the proxy captures connections", yaml: entry("resolution: NONE"), asked: { change: { captures: true } }, expected: "ORIGINAL_DST" },
    {
      what: "NONE at a gateway",
      yaml: entry("resolution: NONE"),
      asked: { change: { captures: true, kind: "gateway" } },
      expected: "LOGICAL_DNS",
    },
    {
      what: "DYNAMIC_DNS",
      yaml: entry("resolution: DYNAMIC_DNS", undefined, "*.example.com"),
      asked: { hostname: "*.example.com" },
      expected: "envoy.clusters.dynamic_forward_proxy",
    },
    {
      what: "a wildcard without resolution",
      yaml: entry("resolution: NONE", undefined, "*.example.com"),
      asked: { hostname: "*.example.com" },
      expected: "envoy.clusters.dynamic_forward_proxy",
    },
    {
      what: "a wildcard of bytes, which carry no name",
      yaml: entry("resolution: NONE", "{number: 80, name: tcp}", "*.example.com"),
      asked: { hostname: "*.example.com" },
      expected: "EDS",
    },
    { what: "DNS without an endpoint in the subset", yaml: entry("resolution: DNS"), asked: { subset: "v1" }, expected: "EDS" },
  ] satisfies readonly { readonly what: string; readonly yaml: string; readonly asked?: Asked; readonly expected: string }[])(
    "are found by $expected: $what",
    ({ yaml, asked, expected }) => {
      const { cluster, endpoints, resource } = translated(yaml, asked);
      expect(discovery(cluster)).toBe(expected);
      expect(resource.needs).toEqual(expected === "EDS" ? [`endpoint/${endpoints?.name}`] : []);
      const provided = expected === "ORIGINAL_DST" || expected.startsWith("envoy.");
      expect(cluster.lbPolicy).toBe(provided ? Cluster_LbPolicy.CLUSTER_PROVIDED : Cluster_LbPolicy.LEAST_REQUEST);
    },
  );

  it("ask DNS for the names that are written, near ones first", () => {
    const endpoints =
      "endpoints: [{address: us.example.com, locality: us-1/us-1a, weight: 2}, {address: eu.example.com, locality: eu-1/eu-1a, ports: {http: 8080}}]";
    const { cluster } = translated(entry(`resolution: DNS, ${endpoints}`));
    expect(addresses(cluster)).toMatchObject([
      { address: "eu.example.com", portSpecifier: { value: 8080 } },
      { address: "us.example.com", portSpecifier: { value: 80 } },
    ]);
    expect(cluster.loadAssignment?.endpoints.map(({ priority }) => priority)).toEqual([0, 1]);
    expect(cluster.loadAssignment?.endpoints[1]?.lbEndpoints[0]?.loadBalancingWeight).toBe(2);
    expect(cluster).toMatchObject({ waitForWarmOnInit: false, connectTimeout: { seconds: 10n } });
  });

  it("wait for the first answer under Istio's defaults", () => {
    const { cluster } = translated(entry("resolution: DNS") + config("{defaults: istio}"));
    expect(cluster.waitForWarmOnInit).toBeUndefined();
    const { case: kind, value } = cluster.clusterDiscoveryType;
    const dns = kind === "clusterType" ? dnsOf(value.typedConfig) : undefined;
    expect(dns).toMatchObject({ respectDnsTtl: true, dnsRefreshRate: { seconds: 60n } });
    expect(dns?.dnsFailureRefreshRate).toBeUndefined();
  });

  it("lead captured connections to another port where one is written", () => {
    const { cluster } = translated(entry("resolution: NONE", "{number: 80, name: http, targetPort: 8080}"), { change: { captures: true } });
    expect(cluster.lbConfig).toMatchObject({ case: "originalDstLbConfig", value: { upstreamPortOverride: 8080 } });
  });

  it("reach a socket", () => {
    const { cluster } = translated(entry("resolution: DNS, endpoints: [{address: unix:///run/api.sock}]"));
    expect(addresses(cluster)).toMatchObject([{ path: "/run/api.sock" }]);
  });

  it("pass connections on where a rule says PASSTHROUGH, if the proxy captures them", () => {
    const yaml = entry("resolution: STATIC, endpoints: [{address: 10.0.0.1}]") + rule("{loadBalancer: {simple: PASSTHROUGH}}");
    expect(discovery(translated(yaml).cluster)).toBe("EDS");
    expect(discovery(translated(yaml, { change: { captures: true } }).cluster)).toBe("ORIGINAL_DST");
  });
});

describe("TLS of outbound clusters", () => {
  const dns = entry("resolution: DNS", "{number: 443, name: https, protocol: HTTPS}");
  const at443 = { port: 443 };

  it("is none where the mode is DISABLE, or none is written and the host has no sidecars", () => {
    expect(translated(dns + rule("{tls: {mode: DISABLE}}"), at443).cluster.transportSocket).toBeUndefined();
    expect(translated(dns, at443).cluster.transportSocket).toBeUndefined();
  });

  it("is the mesh's own where the mode is ISTIO_MUTUAL, and takes nobody's certificate where the host has no service account", () => {
    const { cluster } = translated(dns + rule("{tls: {mode: ISTIO_MUTUAL}}"), at443);
    expect(tlsOf(cluster)).toMatchObject({ sni: "outbound_.443_._.api.example.com" });
    expect(tlsOf(cluster)?.commonTlsContext?.validationContextType.value).toMatchObject({
      defaultValidationContext: { matchTypedSubjectAltNames: [{ matcher: { matchPattern: { value: "spiffe://cluster.local/ns/default/sa/" } } }] },
    });
    expect(cluster.transportSocketMatches).toEqual([]);
  });

  it("takes name and verification from each request where the rule names none", () => {
    const { cluster } = translated(dns + rule("{tls: {mode: SIMPLE}}"), at443);
    expect(tlsOf(cluster)).toMatchObject({
      sni: "",
      commonTlsContext: {
        validationContextType: { case: "validationContext", value: { trustedCa: { specifier: { value: "/etc/ssl/certs/ca-certificates.crt" } } } },
      },
    });
    expect(httpOptions(cluster)?.upstreamHttpProtocolOptions).toMatchObject({ autoSni: true, autoSanValidation: true });
  });

  it("has the names, files and CRL that are written", () => {
    const tls =
      "{mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, caCrl: /crl.pem, sni: api.internal, subjectAltNames: [api.internal, spiffe://x/y, 10.0.0.1]}";
    const { cluster } = translated(dns + rule(`{tls: ${tls}}`), at443);
    const context = tlsOf(cluster);
    expect(context?.sni).toBe("api.internal");
    expect(context?.commonTlsContext?.tlsCertificates).toMatchObject([
      { certificateChain: { specifier: { value: "/c.pem" } }, privateKey: { specifier: { value: "/k.pem" } } },
    ]);
    expect(context?.commonTlsContext?.validationContextType.value).toMatchObject({
      trustedCa: { specifier: { value: "/ca.pem" } },
      crl: { specifier: { value: "/crl.pem" } },
      matchTypedSubjectAltNames: [{ sanType: 2 }, { sanType: 3 }, { sanType: 4 }],
    });
    expect(httpOptions(cluster)?.upstreamHttpProtocolOptions).toBeUndefined();
  });

  it("verifies nothing where it is told to", () => {
    const { cluster } = translated(dns + rule("{tls: {mode: SIMPLE, insecureSkipVerify: true}}"), at443);
    expect(tlsOf(cluster)?.commonTlsContext?.validationContextType).toMatchObject({ case: "validationContext", value: { matchTypedSubjectAltNames: [] } });
    expect(httpOptions(cluster)?.upstreamHttpProtocolOptions).toMatchObject({ autoSni: true, autoSanValidation: false });
  });

  it("takes the names that a ServiceEntry gives its hosts", () => {
    const yaml = entry("resolution: DNS, subjectAltNames: [spiffe://x/api]", "{number: 443, name: https}") + rule("{tls: {mode: SIMPLE}}");
    const { cluster } = translated(yaml, at443);
    expect(tlsOf(cluster)?.commonTlsContext?.validationContextType.value).toMatchObject({
      matchTypedSubjectAltNames: [{ matcher: { matchPattern: { value: "spiffe://x/api" } } }],
    });
  });

  it("names the host itself where the connection carries no name", () => {
    const yaml = entry("resolution: DNS", "{number: 5432, name: tcp-sql}") + rule("{tls: {mode: SIMPLE}}");
    const { cluster } = translated(yaml, { port: 5432 });
    expect(tlsOf(cluster)?.sni).toBe("api.example.com");
    expect(translated(yaml + config("{defaults: istio}"), { port: 5432 }).cluster.transportSocket).toBeDefined();
    expect(tlsOf(translated(yaml + config("{defaults: istio}"), { port: 5432 }).cluster)?.sni).toBe("");
  });

  it("tells a gateway of names that not all are verified", () => {
    const insecure = (tls: string): boolean => {
      const yaml = entry("resolution: DYNAMIC_DNS", "{number: 443, name: https}", "*.example.com") + rule(`{tls: ${tls}}`, "*.example.com");
      const { clusterDiscoveryType: type } = translated(yaml, { hostname: "*.example.com", port: 443 }).cluster;
      const config = type.case === "clusterType" && type.value.typedConfig ? anyUnpack(type.value.typedConfig, ClusterConfigSchema) : undefined;
      return config?.allowInsecureClusterOptions ?? false;
    };
    expect(["{mode: SIMPLE}", "{mode: SIMPLE, sni: a.example.com}", "{mode: SIMPLE, insecureSkipVerify: true}"].map(insecure)).toEqual([false, true, true]);
  });

  it("does not call at all without the Secret that credentialName means", () => {
    const { cluster, endpoints } = translated(dns + rule("{tls: {mode: MUTUAL, credentialName: api-client}}"), at443);
    expect(discovery(cluster)).toBe("EDS");
    expect(endpoints?.body.length).toBeLessThan(60);
    expect(cluster.transportSocket).toBeDefined();
  });
});

describe("PROXY protocol of outbound clusters", () => {
  it.each([
    { written: "{}", version: 0 },
    { written: "{version: V2}", version: 1 },
  ])("is put around plain text and around TLS: $written", ({ written, version }) => {
    for (const [tls, inner] of [
      ["", "envoy.transport_sockets.raw_buffer"],
      [", tls: {mode: SIMPLE}", "envoy.transport_sockets.tls"],
    ]) {
      const { transportSocket } = translated(entry("resolution: DNS") + rule(`{proxyProtocol: ${written}${tls}}`)).cluster;
      const config = transportSocket?.configType.case === "typedConfig" ? transportSocket.configType.value : undefined;
      expect(config && anyUnpack(config, ProxyProtocolUpstreamTransportSchema)).toMatchObject({ config: { version }, transportSocket: { name: inner } });
    }
  });
});

describe("outlier detection by codes", () => {
  it("counts the answers that are written as errors", () => {
    const yaml = entry("resolution: DNS") + rule("{outlierDetection: {outlierDetectionHttpErrorCodes: [503, 429]}}");
    const matcher = httpOptions(translated(yaml).cluster)?.outlierDetection?.errorMatcher;
    expect(matcher?.rule).toMatchObject({ case: "orMatch" });
    const codes = matcher?.rule.case === "orMatch" ? matcher.rule.value.rules : [];
    const exact = codes.map(({ rule: of }) => (of.case === "httpResponseHeadersMatch" ? of.value.headers[0]?.headerMatchSpecifier.value : undefined));
    expect(exact).toMatchObject([{ matchPattern: { value: "503" } }, { matchPattern: { value: "429" } }]);
  });
});
