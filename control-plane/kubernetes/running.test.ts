import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Instance, Proxy } from "../mesh/instance.ts";
import { type FakeKubernetes, startFakeKubernetes } from "../source/fake-kubernetes.ts";
import { type KubernetesSource, startKubernetesSource } from "../source/kubernetes.ts";
import { createKubernetesApi, type KubernetesApi, type KubernetesObject } from "../source/kubernetes-api.ts";
import { eventually } from "../test/eventually.ts";
import { statusText } from "./inject/status.ts";
import { type ClusterRunning, watchRunning } from "./running.ts";

const quiet = { info: () => undefined, warn: () => undefined };
const PODS = "/api/v1/pods";
const SERVICES = "/api/v1/services";

let server: FakeKubernetes;
let api: KubernetesApi;
let source: KubernetesSource;
let running: ClusterRunning;
let instances: readonly Instance[];
let proxies: readonly Proxy[];
let told: number;

beforeEach(async () => {
  server = await startFakeKubernetes();
  api = createKubernetesApi({ url: server.url, headers: async () => ({}) });
  server.serve("networking.istio.io", "v1", [{ plural: "gateways", kind: "Gateway" }]);
  [instances, proxies, told] = [[], [], 0];
});
afterEach(async () => {
  await running.close();
  await source.close();
  api.close();
  await server.close();
});

async function begin(): Promise<void> {
  source = startKubernetesSource({ api, logger: quiet, rootNamespace: "weft-system", onObject: (file, object) => running.noteObject(file, object) });
  running = watchRunning({
    api,
    logger: quiet,
    objects: source.objects,
    onChange: (nextInstances, nextProxies) => {
      [instances, proxies] = [nextInstances, nextProxies];
      told += 1;
    },
  });
  await Promise.all([source.synced, running.synced]);
  running.begin();
}

interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly proxy?: "sidecar" | "gateway";
  readonly ready?: boolean;
  readonly node?: string;
  readonly address?: string;
  readonly phase?: string;
  readonly ending?: boolean;
  readonly owner?: { readonly kind: string; readonly name: string };
}

function pod(
  name: string,
  { labels = { app: "product" }, proxy, ready = true, node = "a", address = "10.0.0.7", phase = "Running", ending, owner }: PodOptions = {},
): KubernetesObject {
  const status = { version: "1", revision: "default", initContainers: ["weft-proxy"], containers: [], volumes: [] };
  return {
    metadata: {
      name,
      namespace: "default",
      labels,
      ...(proxy === undefined ? {} : { annotations: { "weft.mesh/status": statusText({ ...status, kind: proxy }) } }),
      ...(ending === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
      ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
    },
    spec: {
      nodeName: node,
      serviceAccountName: "product",
      containers: [
        {
          name: "main",
          ports: [
            { name: "http", containerPort: 9090 },
            { containerPort: 53, protocol: "UDP" },
          ],
        },
      ],
      initContainers: [{ name: "weft-proxy", restartPolicy: "Always", ports: [{ containerPort: 15_090 }] }],
    },
    status: { phase, podIP: address, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

function node(name: string, zone: string): void {
  const labels = { "topology.kubernetes.io/region": "ap-northeast-2", "topology.kubernetes.io/zone": zone, "topology.istio.io/subzone": "rack-1" };
  server.put("/api/v1/nodes", { metadata: { name, labels } });
}

describe("what runs in a cluster", () => {
  it("makes an instance and a proxy of an injected pod: its place from its node, its ports from containers and Services", async () => {
    node("a", "ap-northeast-2a");
    server.put(SERVICES, {
      metadata: { name: "product", namespace: "default" },
      spec: { selector: { app: "product" }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    server.put(
      PODS,
      pod("product-5d-x", { proxy: "sidecar", labels: { app: "product", "pod-template-hash": "5d" }, owner: { kind: "ReplicaSet", name: "product-5d" } }),
    );
    await begin();
    expect(instances).toEqual([
      {
        name: "product-5d-x",
        namespace: "default",
        workload: "product",
        labels: { app: "product", "pod-template-hash": "5d" },
        serviceAccount: "product",
        locality: { region: "ap-northeast-2", zone: "ap-northeast-2a", subzone: "rack-1" },
        address: "10.0.0.7",
        ports: [
          { containerPort: 8080, boundPort: 8080 },
          { containerPort: 9090, boundPort: 9090, name: "http" },
        ],
        ready: true,
        hasSidecar: true,
      },
    ]);
    expect(proxies).toHaveLength(1);
    expect(proxies[0]).toMatchObject({
      id: "product-5d-x.default",
      kind: "sidecar",
      captures: true,
      capture: { outboundPort: 15_001, inboundPort: 15_006, inboundSource: "127.0.0.6", byAddress: true },
      outbound: [],
      inbound: [
        { containerPort: 8080, listen: { address: "10.0.0.7", port: 8080, captured: true }, application: { address: "10.0.0.7", port: 8080 } },
        { containerPort: 9090, listen: { address: "10.0.0.7", port: 9090, captured: true }, application: { address: "10.0.0.7", port: 9090 } },
      ],
    });
  });

  it.each([
    ["is ready", {}, true],
    ["is not ready", { ready: false }, false],
    ["was told to end, though it is still ready", { ending: true }, false],
    ["has no address", { address: "" }, undefined],
    ["has run to its end", { phase: "Succeeded" }, undefined],
  ])("of a pod that %s", async (_, options, ready) => {
    server.put(PODS, pod("a", options));
    await begin();
    expect(instances.map((instance) => instance.ready)).toEqual(ready === undefined ? [] : [ready]);
    expect(instances.map(({ hasSidecar }) => hasSidecar)).toEqual(ready === undefined ? [] : [false]);
    expect(proxies).toEqual([]);
  });

  it("follows pods, nodes and Services, and tells many changes at once", async () => {
    server.put(PODS, pod("a", { proxy: "sidecar" }));
    await begin();
    expect(instances[0]?.locality.zone).toBe("");
    node("a", "zone-a");
    await eventually(() => expect(instances[0]?.locality.zone).toBe("zone-a"));
    server.put(SERVICES, { metadata: { name: "product", namespace: "default" }, spec: { selector: { app: "product" }, ports: [{ port: 81 }] } });
    await eventually(() => expect(instances[0]?.ports.map(({ containerPort }) => containerPort)).toEqual([81, 9090]));
    const before = told;
    for (let index = 0; index < 200; index += 1) server.put(PODS, pod(`b-${index}`, { proxy: "sidecar", address: `10.1.0.${index}` }));
    await eventually(() => expect(proxies).toHaveLength(201));
    expect(told - before).toBeLessThan(20);
    server.remove("/api/v1/nodes", "a");
    for (let index = 0; index < 200; index += 1) server.remove(PODS, `b-${index}`, "default");
    await eventually(() => expect(instances.map(({ name }) => name)).toEqual(["a"]));
    expect(instances[0]?.locality.zone).toBe("zone-a");
  });

  it("binds a gateway's ports where its Service leads, and follows its Gateways", async () => {
    server.put(SERVICES, {
      metadata: { name: "ingress", namespace: "default" },
      spec: {
        selector: { istio: "ingressgateway" },
        ports: [
          { name: "http", port: 80, targetPort: 8080 },
          { name: "https", port: 443, targetPort: 8443 },
        ],
      },
    });
    const gateways = "/apis/networking.istio.io/v1/gateways";
    const gateway = (...numbers: number[]) => ({
      metadata: { name: "edge", namespace: "shop" },
      spec: { selector: { istio: "ingressgateway" }, servers: numbers.map((number) => ({ port: { number } })) },
    });
    server.put(gateways, gateway(80));
    server.put(PODS, pod("gw", { proxy: "gateway", labels: { istio: "ingressgateway" } }));
    await begin();
    const bound = () => proxies[0]?.gatewayPorts.map(({ number, listen, explainAddress }) => [number, listen.address, listen.port, explainAddress]);
    expect(proxies[0]).toMatchObject({ kind: "gateway", inbound: [] });
    expect(bound()).toEqual([[80, "0.0.0.0", 8080, "127.0.0.1"]]);
    expect(instances[0]?.hasSidecar).toBe(false);
    expect([...running.gatewayNamespaces()]).toEqual(["default"]);
    server.put(gateways, gateway(9000, 443));
    await eventually(() =>
      expect(bound()).toEqual([
        [443, "0.0.0.0", 8443, "127.0.0.1"],
        [9000, "0.0.0.0", 9000, "127.0.0.1"],
      ]),
    );
  });

  it("takes what stands behind a Service without selector from its EndpointSlices", async () => {
    server.put(SERVICES, { metadata: { name: "old", namespace: "default" }, spec: { ports: [{ name: "db", port: 5432, targetPort: 5000 }] } });
    server.put("/apis/discovery.k8s.io/v1/endpointslices", {
      metadata: { name: "old-1", namespace: "default", labels: { "kubernetes.io/service-name": "old" } },
      ...{
        addressType: "IPv4",
        ports: [{ name: "db", port: 6000 }],
        endpoints: [
          { addresses: ["192.0.2.1"], zone: "z" },
          { addresses: ["192.0.2.2"], conditions: { ready: false } },
        ],
      },
    });
    await begin();
    expect(instances.map(({ address, ready, ports, locality, labels }) => ({ address, ready, ports, zone: locality.zone, labels }))).toEqual([
      {
        address: "192.0.2.1",
        ready: true,
        ports: [{ name: "db", containerPort: 5000, boundPort: 6000 }],
        zone: "z",
        labels: { "kubernetes.io/service-name": "old" },
      },
      {
        address: "192.0.2.2",
        ready: false,
        ports: [{ name: "db", containerPort: 5000, boundPort: 6000 }],
        zone: "",
        labels: { "kubernetes.io/service-name": "old" },
      },
    ]);
  });
});
