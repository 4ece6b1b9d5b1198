import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventually } from "../test/eventually.ts";
import { type FakeKubernetes, startFakeKubernetes } from "./fake-kubernetes.ts";
import { type KubernetesSource, type KubernetesSourceOptions, startKubernetesSource } from "./kubernetes.ts";
import { createKubernetesApi, type KubernetesApi } from "./kubernetes-api.ts";
import { namedSecrets } from "./kubernetes-secrets.ts";
import { parseFile } from "./parse-file.ts";

const quiet = { info: () => undefined, warn: () => undefined };
const SERVICES = "/api/v1/services";
const NETWORKING = "/apis/networking.istio.io";

let server: FakeKubernetes;
let api: KubernetesApi;
const open: KubernetesSource[] = [];
beforeEach(async () => {
  server = await startFakeKubernetes();
  api = createKubernetesApi({ url: server.url, headers: async () => ({}) });
});
afterEach(async () => {
  for (const source of open.splice(0)) await source.close();
  api.close();
  await server.close();
});

interface Opened {
  readonly source: KubernetesSource;
  files: ReadonlyMap<string, string>;
  readonly changes: (readonly string[])[];
}

async function openSource(options: Partial<KubernetesSourceOptions> = {}): Promise<Opened> {
  const source = startKubernetesSource({ api, logger: quiet, rootNamespace: "weft-system", discoveryMs: 20, ...options });
  open.push(source);
  await source.synced;
  source.setGatewayNamespaces(["edge"]);
  const opened: Opened = { source, files: new Map(), changes: [] };
  const { files } = await source.open({
    onChange: (texts, changed) => {
      opened.files = texts;
      opened.changes.push(changed);
    },
    onError: () => undefined,
  });
  opened.files = files;
  return opened;
}

function serveIstio(version: string): void {
  server.serve("networking.istio.io", version, [
    { plural: "virtualservices", kind: "VirtualService" },
    { plural: "gateways", kind: "Gateway" },
  ]);
}

const service = (name: string, port = 80, namespace = "default") => ({
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ name: "http", port }] },
});
const virtualService = (name: string, timeout = "1s", namespace = "default") => ({
  metadata: { name, namespace, annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", "weft.mesh/sticky": "header:x-user" } },
  spec: { hosts: [name], http: [{ timeout, route: [{ destination: { host: name } }] }] },
});

describe("a cluster as a source", () => {
  it("gives each object of the mesh as a file that reads as a folder's does", async () => {
    serveIstio("v1");
    server.put(SERVICES, service("product"));
    server.put("/api/v1/namespaces", { metadata: { name: "default", labels: { "weft.mesh/injection": "enabled" } } });
    server.put(`${NETWORKING}/v1/virtualservices`, virtualService("product"));
    const { files } = await openSource();
    expect([...files.keys()]).toEqual(["Namespace/default", "default/Service/product", "default/VirtualService/product"]);
    expect(files.get("default/VirtualService/product")).toBe(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: product
  namespace: default
  annotations:
    weft.mesh/sticky: header:x-user
spec:
  hosts:
    - product
  http:
    - timeout: 1s
      route:
        - destination:
            host: product
`);
    for (const [file, text] of files) expect(parseFile(file, text)).toMatchObject({ syntaxOk: true, diagnostics: [], resources: [{}] });
  });

  it("tells what changes together at once, and nothing where only the status differs", async () => {
    serveIstio("v1");
    server.put(SERVICES, service("product"));
    const opened = await openSource();
    server.put(SERVICES, { ...service("product"), status: { loadBalancer: { ingress: [{ ip: "10.0.0.1" }] } } });
    server.put(SERVICES, service("order"));
    server.put(`${NETWORKING}/v1/virtualservices`, virtualService("order"));
    await eventually(() => expect(opened.changes.flat()).toEqual(["default/Service/order", "default/VirtualService/order"]));
    server.remove(SERVICES, "order", "default");
    await eventually(() => expect([...opened.files.keys()]).toEqual(["default/Service/product", "default/VirtualService/order"]));
  });

  it("notices CRDs that are installed later", async () => {
    const opened = await openSource();
    expect(opened.files.size).toBe(0);
    server.put(`${NETWORKING}/v1/virtualservices`, virtualService("late"));
    serveIstio("v1");
    await eventually(() => expect([...opened.files.keys()]).toEqual(["default/VirtualService/late"]));
  });

  it("takes an old cluster's version, and the current one when it is served, without a moment of neither", async () => {
    serveIstio("v1alpha3");
    server.put(`${NETWORKING}/v1alpha3/virtualservices`, virtualService("product"));
    const opened = await openSource();
    expect(opened.files.get("default/VirtualService/product")).toContain("networking.istio.io/v1alpha3");
    const gone = vi.fn();
    server.put(`${NETWORKING}/v1/virtualservices`, virtualService("product"));
    serveIstio("v1");
    await eventually(() => {
      if (!opened.files.has("default/VirtualService/product")) gone();
      expect(opened.files.get("default/VirtualService/product")).toContain("networking.istio.io/v1\n");
    });
    await eventually(() => expect(server.openWatches()).toBe(4));
    expect(gone).not.toHaveBeenCalled();
  });

  it("keeps what it has where a server that starts does not know its kinds yet", async () => {
    serveIstio("v1");
    server.put(`${NETWORKING}/v1/virtualservices`, virtualService("product"));
    const opened = await openSource();
    server.serve("networking.istio.io", "v1", []);
    server.breakWatches();
    server.put(SERVICES, service("other"));
    await eventually(() => expect(opened.changes.flat()).toContain("default/Service/other"));
    expect([...opened.files.keys()]).toContain("default/VirtualService/product");
  });

  it("looks into the namespaces that it may, and the root namespace", async () => {
    serveIstio("v1");
    for (const namespace of ["shop", "other", "weft-system"]) {
      server.put(SERVICES, service("web", 80, namespace));
      server.put("/api/v1/namespaces", { metadata: { name: namespace } });
    }
    const { files } = await openSource({ namespaces: ["shop"] });
    expect([...files.keys()]).toEqual(["Namespace/shop", "Namespace/weft-system", "shop/Service/web", "weft-system/Service/web"]);
    expect(server.requests.filter((request) => request.startsWith("GET /api/v1/services"))).toEqual([]);
  });

  it("asks for the Secrets that Gateways name, by name, where the gateways are, and for no others", async () => {
    serveIstio("v1");
    const tls = { mode: "SIMPLE", credentialName: "shop-cert" };
    server.put(`${NETWORKING}/v1/gateways`, { metadata: { name: "edge", namespace: "shop" }, spec: { servers: [{ port: { number: 443 }, tls }] } });
    server.put("/api/v1/secrets", { metadata: { name: "shop-cert", namespace: "edge" }, ...{ type: "kubernetes.io/tls", data: { "tls.crt": "eA==" } } });
    server.put("/api/v1/secrets", { metadata: { name: "other", namespace: "edge" } });
    const opened = await openSource();
    await eventually(() => expect([...opened.files.keys()]).toEqual(["edge/Secret/shop-cert", "shop/Gateway/edge"]));
    expect(server.requests.filter((request) => request.includes("/secrets")).every((request) => request.includes("metadata.name%3Dshop-cert"))).toBe(true);
    server.remove(`${NETWORKING}/v1/gateways`, "edge", "shop");
    await eventually(() => expect([...opened.files.keys()]).toEqual([]));
  });

  it("takes MeshConfig from the root namespace alone", async () => {
    server.serve("weft.mesh", "v1alpha1", [
      { plural: "meshconfigs", kind: "MeshConfig" },
      { plural: "localruns", kind: "LocalRun" },
    ]);
    for (const namespace of ["weft-system", "shop"]) server.put("/apis/weft.mesh/v1alpha1/meshconfigs", { metadata: { name: "default", namespace }, spec: {} });
    const { files } = await openSource();
    expect([...files.keys()]).toEqual(["weft-system/MeshConfig/default"]);
  });
});

describe("the names of Secrets", () => {
  it.each([
    ["of a server", { mode: "SIMPLE", credentialName: "a" }, ["gw/a"]],
    ["with the prefix that Istio allows", { mode: "SIMPLE", credentialName: "kubernetes://a" }, ["gw/a"]],
    ["several, and clients' CAs apart", { mode: "MUTUAL", credentialNames: ["a", "b"] }, ["gw/a", "gw/a-cacert", "gw/b", "gw/b-cacert"]],
    ["none that is no name", { mode: "SIMPLE", credentialName: "../x?y" }, []],
    ["none", { mode: "ISTIO_MUTUAL" }, []],
  ])("%s", (_, tls, names) => {
    expect(namedSecrets([{ metadata: { name: "g", namespace: "n" }, spec: { servers: [{ tls }] } }], [], ["gw"])).toEqual(names);
  });

  it("of a DestinationRule, and in its own namespace where it is for some workloads there", () => {
    const spec = { trafficPolicy: { tls: { mode: "MUTUAL", credentialName: "c" } } };
    expect(namedSecrets([], [{ metadata: { name: "r", namespace: "n" }, spec }], ["gw"])).toEqual(["gw/c", "gw/c-cacert"]);
    const selecting = { ...spec, workloadSelector: { matchLabels: { app: "x" } } };
    expect(namedSecrets([], [{ metadata: { name: "r", namespace: "n" }, spec: selecting }], [])).toEqual(["n/c", "n/c-cacert"]);
  });
});
