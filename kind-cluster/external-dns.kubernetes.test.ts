// What External DNS reads of a mesh, read here by the same rules from a real API server: External DNS itself could not be built from the Go module proxy.
// Source: kubernetes-sigs/external-dns, source/istio_gateway.go, istio_virtualservice.go, EndpointTargetsFromServices.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Cluster, startCluster } from "./test/cluster.ts";
import { installDefinitions } from "./test/definitions.ts";

const FOLDER = import.meta.dirname;

const metadata = z.object({ name: z.string(), namespace: z.string(), annotations: z.record(z.string(), z.string()).default({}) });
const gatewaySchema = z.object({
  metadata,
  spec: z.object({ selector: z.record(z.string(), z.string()), servers: z.array(z.object({ hosts: z.array(z.string()) })) }),
});
const virtualServiceSchema = z.object({ metadata, spec: z.object({ hosts: z.array(z.string()), gateways: z.array(z.string()).default([]) }) });
const serviceSchema = z.object({
  metadata,
  spec: z.object({ selector: z.record(z.string(), z.string()).default({}), externalIPs: z.array(z.string()).default([]) }),
  status: z.object({
    loadBalancer: z.object({ ingress: z.array(z.object({ ip: z.string().optional(), hostname: z.string().optional() })).default([]) }).prefault({}),
  }),
});
type ReadGateway = z.output<typeof gatewaySchema>;
type ReadService = z.output<typeof serviceSchema>;

const TARGET = "external-dns.alpha.kubernetes.io/target";

/** Of every Service whose selector has the Gateway's: its external addresses, else its load balancer's. An annotation of the Gateway counts more. */
function targetsOf({ metadata: { annotations }, spec: { selector } }: ReadGateway, services: readonly ReadService[]): readonly string[] {
  const written = annotations[TARGET];
  if (written !== undefined) return written.split(",");
  return services
    .filter(({ spec }) => Object.entries(selector).every(([name, value]) => spec.selector[name] === value))
    .flatMap(({ spec, status }) =>
      spec.externalIPs.length > 0 ? spec.externalIPs : status.loadBalancer.ingress.flatMap(({ ip, hostname }) => ip ?? hostname ?? []),
    );
}

/** Without a namespace before the slash, and without the host that stands for all. */
function namesOf(hosts: readonly string[]): readonly string[] {
  return hosts.map((host) => host.split("/").at(-1) ?? "").filter((host) => host !== "*" && host !== "");
}

const RESOURCES = `
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com, "./admin.example.com"]}
    - {port: {number: 8080, name: other, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: elsewhere, namespace: default, annotations: {${TARGET}: 198.51.100.7}}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [elsewhere.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: default}
spec: {hosts: [orders.example.com, "*"], gateways: [default/shop, mesh], http: [{route: [{destination: {host: orders}}]}]}
`;

describe("External DNS", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
    await installDefinitions(cluster);
    await cluster.kubectl(["apply", "-f", join(FOLDER, "manifests/namespaces.yaml")]);
    await cluster.kubectl(["apply", "-f", join(FOLDER, "manifests/gateway.yaml")]);
    await cluster.kubectl(["apply", "-f", "-"], RESOURCES);
    // What a cloud, or MetalLB, does.
    const status = { status: { loadBalancer: { ingress: [{ ip: "203.0.113.10" }, { hostname: "lb.example.net" }] } } };
    const service = ["-n", "weft-ingress", "patch", "service", "weft-ingressgateway", "--subresource=status", "--type=merge", "-p", JSON.stringify(status)];
    await cluster.kubectl(service);
  });
  afterAll(() => cluster?.close());

  const listed = async <Item>(path: string, schema: z.ZodType<Item>): Promise<readonly Item[]> =>
    z.object({ items: z.array(schema) }).parse(JSON.parse(await cluster.kubectl(["get", "--raw", path]))).items;

  // Releases of External DNS differ in the version that they ask for.
  it.each(["v1", "v1beta1", "v1alpha3"])("finds names and targets in %s", async (version) => {
    const gateways = await listed(`/apis/networking.istio.io/${version}/gateways`, gatewaySchema);
    const virtualServices = await listed(`/apis/networking.istio.io/${version}/virtualservices`, virtualServiceSchema);
    const services = await listed("/api/v1/services", serviceSchema);
    const ofGateways = gateways.flatMap((gateway) =>
      namesOf(gateway.spec.servers.flatMap(({ hosts }) => hosts)).map((name) => [name, targetsOf(gateway, services)]),
    );
    expect(Object.fromEntries(ofGateways)).toEqual({
      "shop.example.com": ["203.0.113.10", "lb.example.net"],
      "admin.example.com": ["203.0.113.10", "lb.example.net"],
      "elsewhere.example.com": ["198.51.100.7"],
    });
    const ofVirtualServices = virtualServices.flatMap(({ metadata: { namespace }, spec: { hosts, gateways: named } }) => {
      const bound = gateways.filter(({ metadata: about }) =>
        named.some((name) => name === `${about.namespace}/${about.name}` || (name === about.name && about.namespace === namespace)),
      );
      return namesOf(hosts).map((name) => [name, bound.flatMap((gateway) => targetsOf(gateway, services))]);
    });
    expect(Object.fromEntries(ofVirtualServices)).toEqual({ "orders.example.com": ["203.0.113.10", "lb.example.net"] });
  });

  it("sees annotations of the Service in front of the gateway as they were written", async () => {
    await cluster.kubectl(["-n", "weft-ingress", "annotate", "service", "weft-ingressgateway", "external-dns.alpha.kubernetes.io/hostname=shop.example.com"]);
    const [service] = (await listed("/api/v1/namespaces/weft-ingress/services", serviceSchema)).filter(
      ({ metadata: { name } }) => name === "weft-ingressgateway",
    );
    expect(service?.metadata.annotations).toMatchObject({ "external-dns.alpha.kubernetes.io/hostname": "shop.example.com" });
  });
});
