import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { type Cluster, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import type { Instance, Proxy } from "../mesh/instance.ts";
import { clustersOf } from "../test/clusters-of.ts";
import { deployment, meshOf, sidecar } from "../test/mesh-of.ts";

const document = (group: string, kind: string, spec: string, metadata = "name: orders"): string => `
---
apiVersion: ${group}
kind: ${kind}
metadata: {${metadata}}
spec: ${spec}
`;
const NETWORKING = "networking.istio.io/v1";
const service = (more = ""): string => document("v1", "Service", `{selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 9090}]${more}}`);
const rule = (trafficPolicy: string): string => document(NETWORKING, "DestinationRule", `{host: orders, trafficPolicy: ${trafficPolicy}}`);
const peer = (spec: string): string => document("security.istio.io/v1", "PeerAuthentication", spec);
const config = (spec: string): string => document("weft.mesh/v1alpha1", "MeshConfig", spec, "name: default");
const BASE = deployment("shop", "app: shop", "eu-1a") + deployment("orders", "app: orders", "eu-1a", 2);
const HOSTNAME = "orders.default.svc.cluster.local";

interface Asked {
  readonly hostname?: string;
  readonly subset?: string;
  readonly change?: (instance: Instance) => Instance | undefined;
  readonly caller?: Partial<Proxy>;
  readonly certificates?: boolean;
}

/** The cluster, and for each endpoint whether it is marked as plain. */
function called(yaml: string, { hostname = HOSTNAME, subset = "", change = (same) => same, caller = {}, certificates = true }: Asked = {}) {
  const mesh = { ...meshOf(BASE + yaml, { change }), certificates };
  const [resource, ...others] = clustersOf(mesh).outbound({ ...sidecar(mesh, "shop"), ...caller }, { hostname, port: 80, subset });
  const assignment = others.map(({ body }) => fromBinary(ClusterLoadAssignmentSchema, body))[0];
  const endpoints = (assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints);
  return {
    resource,
    cluster: fromBinary(ClusterSchema, resource.body),
    plain: endpoints.map(({ metadata }) => metadata?.filterMetadata["envoy.transport_socket_match"]?.plain ?? false),
  };
}

const contextOf = ({ transportSocket }: Cluster) =>
  transportSocket?.configType.case === "typedConfig" ? anyUnpack(transportSocket.configType.value, UpstreamTlsContextSchema) : undefined;

/** Names that the server's certificate may have. */
function expected(cluster: Cluster): readonly unknown[] {
  const context = contextOf(cluster)?.commonTlsContext?.validationContextType;
  const names = context?.case === "combinedValidationContext" ? context.value.defaultValidationContext?.matchTypedSubjectAltNames : [];
  return (names ?? []).map(({ matcher }) => matcher?.matchPattern.value);
}

const without = (name: string) => (instance: Instance) => ({ ...instance, hasSidecar: instance.name !== name });

describe("mutual TLS by itself", () => {
  it("goes to whoever has a sidecar, and expects the service accounts behind the host", () => {
    const { cluster, plain } = called(service());
    expect(expected(cluster)).toEqual(["spiffe://cluster.local/ns/default/sa/default"]);
    expect(contextOf(cluster)?.sni).toBe(`outbound_.80_._.${HOSTNAME}`);
    expect(cluster.transportSocketMatches.map(({ name }) => name)).toEqual(["plain"]);
    expect(plain).toEqual([false, false]);
  });

  it("marks an endpoint without a sidecar, and leaves the cluster as it is", () => {
    const [before, after] = [called(service()), called(service(), { change: without("orders-2") })];
    expect([...after.plain].sort()).toEqual([false, true]);
    expect(after.resource.body).toEqual(before.resource.body);
  });

  it("knows an identity before its instance is ready, so that readiness changes no cluster", () => {
    const unready = (instance: Instance) => ({ ...instance, ready: instance.workload !== "orders" });
    expect(called(service(), { change: unready }).resource.body).toEqual(called(service()).resource.body);
  });

  it.each([
    ["of the workload", "{selector: {matchLabels: {app: orders}}, mtls: {mode: DISABLE}}", [true, true]],
    ["of the container's port", "{selector: {matchLabels: {app: orders}}, portLevelMtls: {9090: {mode: DISABLE}}}", [true, true]],
    ["of another port", "{selector: {matchLabels: {app: orders}}, portLevelMtls: {80: {mode: DISABLE}}}", [false, false]],
    ["of another workload", "{selector: {matchLabels: {app: shop}}, mtls: {mode: DISABLE}}", [false, false]],
  ])("heeds a DISABLE %s", (_, spec, plain) => {
    expect(called(service() + peer(spec)).plain).toEqual(plain);
  });

  it.each([
    ["nobody behind the host has a sidecar", service(), { change: (instance: Instance) => ({ ...instance, hasSidecar: instance.workload === "shop" }) }],
    ["the mesh turns it off", service() + config("{enableAutoMtls: false}"), {}],
    ["there are no certificates", service() + rule("{tls: {mode: ISTIO_MUTUAL}}"), { certificates: false }],
    ["a rule says DISABLE", service() + rule("{tls: {mode: DISABLE}}"), {}],
  ])("is not where %s", (_, yaml, asked: Asked) => {
    const { cluster, plain } = called(yaml, asked);
    expect([cluster.transportSocket, cluster.transportSocketMatches]).toEqual([undefined, []]);
    expect(plain).toEqual([false, false]);
  });

  it.each(["{proxyProtocol: {}}", "{proxyProtocol: {}, tls: {mode: ISTIO_MUTUAL}}"])(
    "is not where the application gets a PROXY protocol header: %s",
    (policy) => {
      const { cluster } = called(service() + rule(policy));
      expect(cluster.transportSocket?.name).toBe("envoy.transport_sockets.upstream_proxy_protocol");
      expect(cluster.transportSocketMatches).toEqual([]);
    },
  );

  it("is for connections whose destination the proxy takes over only where all have a sidecar", () => {
    const headless = service(", clusterIP: None");
    const captures = { captures: true };
    expect(expected(called(headless, { caller: captures }).cluster)).toHaveLength(1);
    expect(called(headless, { caller: captures, change: without("orders-1") }).cluster.transportSocket).toBeUndefined();
  });

  it("expects identities under every name of the trust domain", () => {
    const { cluster } = called(service() + config("{trustDomain: new.example, trustDomainAliases: [old.example]}"));
    expect(expected(cluster)).toEqual(["spiffe://new.example/ns/default/sa/default", "spiffe://old.example/ns/default/sa/default"]);
  });

  it.each([
    ["HTTP/1.1", "{}", ["istio", "http/1.1"]],
    ["HTTP/2 where a rule upgrades", "{http: {h2UpgradePolicy: UPGRADE}}", ["istio", "h2"]],
    ["either where the client decides", "{http: {useClientProtocol: true}}", ["istio"]],
  ])("offers %s inside", (_, pool, alpn) => {
    expect(contextOf(called(service() + rule(`{connectionPool: ${pool}}`)).cluster)?.commonTlsContext?.alpnProtocols).toEqual(alpn);
  });
});

describe("a rule's ISTIO_MUTUAL", () => {
  it("goes to all endpoints alike, by the names that it gives", () => {
    const tls = "{mode: ISTIO_MUTUAL, sni: other.example, subjectAltNames: [spiffe://cluster.local/ns/default/sa/other]}";
    const { cluster } = called(service() + rule(`{tls: ${tls}}`), { change: without("orders-2") });
    expect(cluster.transportSocketMatches).toEqual([]);
    expect(contextOf(cluster)?.sni).toBe("other.example");
    expect(expected(cluster)).toEqual(["spiffe://cluster.local/ns/default/sa/other"]);
  });
});
