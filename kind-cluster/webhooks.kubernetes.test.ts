import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import { createRoot, type Issuer, issueLeaf } from "../control-plane/ca/certificates.ts";
import { podSchema } from "../control-plane/kubernetes/inject/pod.ts";
import { DEFAULT_SETTINGS } from "../control-plane/kubernetes/inject/settings.ts";
import { startWebhooks, type WebhookServer, webhookNames } from "../control-plane/kubernetes/webhook/server.ts";
import { type Cluster, startCluster } from "./test/cluster.ts";
import { installDefinitions } from "./test/definitions.ts";

const FOLDER = import.meta.dirname;
const MANIFESTS = ["namespaces", "rbac", "control-plane", "webhooks", "gateway", "mesh-config"];
const POD = (name: string, more = "") => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}${more}}
spec: {containers: [{name: app, image: "a:1", readinessProbe: {httpGet: {path: /healthz, port: 8080}}}]}
`;
const VIRTUAL_SERVICE = (weights: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [${weights}]}]}
`;
const to = (weight: number) => `{destination: {host: reviews}, weight: ${weight}}`;

describe("the manifests on a real API server", () => {
  let cluster: Cluster;
  let webhooks: WebhookServer;
  let root: Issuer;

  beforeAll(async () => {
    cluster = await startCluster();
    await installDefinitions(cluster);
    await cluster.kubectl(["apply", "--server-side", "-f", join(FOLDER, "manifests/namespaces.yaml")]);
    root = await createRoot(1, Date.now());
    const uri = "spiffe://cluster.local/ns/weft-system/sa/weft-control-plane";
    webhooks = await startWebhooks({
      address: "127.0.0.1",
      port: 0,
      certificate: await issueLeaf(root, { uri, dnsNames: webhookNames(), addresses: ["127.0.0.1"], nowMs: Date.now(), lifetimeMs: 3_600_000 }),
      injection: { settings: DEFAULT_SETTINGS },
      validation: { files: () => new Map(), nowMs: Date.now },
      onError: (error) => {
        throw error;
      },
    });
  });
  afterAll(async () => {
    await webhooks?.close();
    await cluster?.close();
  });

  it.each(MANIFESTS)("%s.yaml is accepted as it is", async (name) => {
    const answer = await cluster.kubectl(["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", join(FOLDER, `manifests/${name}.yaml`)]);
    expect(answer.trim().split("\n").length).toBeGreaterThan(0);
    expect(answer).not.toMatch(/Warning/);
  });

  it("are all listed for kustomize", async () => {
    const documents = parseAllDocuments(await cluster.kubectl(["kustomize", join(FOLDER, "manifests")])).map((document) => document.toJS());
    expect(documents.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["Deployment", "ClusterRole", "MutatingWebhookConfiguration", "MeshConfig"]));
  });

  describe("with webhooks that answer", () => {
    /** The manifest's own, but called at this test's server: nothing here carries a Service. */
    const install = async (): Promise<void> => {
      const caBundle = Buffer.from(root.rootsPem.join("")).toString("base64");
      for (const document of parseAllDocuments(await readFile(join(FOLDER, "manifests/webhooks.yaml"), "utf8"))) {
        const configuration = document.toJS();
        for (const webhook of configuration.webhooks) {
          webhook.clientConfig = { url: `https://127.0.0.1:${webhooks.port}${webhook.clientConfig.service.path}`, caBundle };
        }
        await cluster.kubectl(["apply", "-f", "-"], stringify(configuration));
      }
    };
    const create = async (namespace: string, text: string): Promise<string> =>
      cluster.kubectl(["-n", namespace, "create", "--dry-run=server", "-o", "json", "-f", "-"], text);
    const initContainersOf = async (namespace: string, text: string): Promise<readonly string[]> =>
      (podSchema.parse(JSON.parse(await create(namespace, text))).spec.initContainers ?? []).map(({ name }) => name);

    beforeAll(async () => {
      await cluster.kubectl(["create", "namespace", "mesh"]);
      await cluster.kubectl(["label", "namespace", "mesh", "weft.mesh/injection=enabled"]);
      await cluster.kubectl(["create", "namespace", "plain"]);
      await install();
    });

    it("gives pods of a labelled namespace their proxy", async () => {
      // A configuration is in force a moment after it was written.
      for (;;) if ((await initContainersOf("mesh", POD("a"))).length > 0) break;
      expect(await initContainersOf("mesh", POD("a"))).toEqual(["weft-init", "weft-proxy"]);
    });

    it.each<[string, string, string, readonly string[]]>([
      ["in a namespace that says nothing", "plain", "", []],
      ["that asks for it there", "plain", ', labels: {sidecar.istio.io/inject: "true"}', ["weft-init", "weft-proxy"]],
      ["that asks for the revision there", "plain", ", labels: {istio.io/rev: default}", ["weft-init", "weft-proxy"]],
      ["that refuses it", "mesh", ', labels: {sidecar.istio.io/inject: "false"}', []],
      ["of another revision", "mesh", ", labels: {weft.mesh/rev: other}", []],
      ["of the control plane's namespace", "weft-system", ', labels: {sidecar.istio.io/inject: "true"}', []],
    ])("a pod %s", async (_, namespace, more, expected) => {
      expect(await initContainersOf(namespace, POD("a", more))).toEqual(expected);
    });

    it("makes the gateway's pod a proxy", async () => {
      const [deployment] = parseAllDocuments(await readFile(join(FOLDER, "manifests/gateway.yaml"), "utf8"))
        .map((document) => document.toJS())
        .filter(({ kind }) => kind === "Deployment");
      const { metadata, spec } = deployment.spec.template;
      // Only a controller's pods may name a service account that is not there yet.
      const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "gateway" }, spec: { ...spec, serviceAccountName: "default" } };
      const { spec: made } = podSchema.parse(JSON.parse(await create("weft-ingress", stringify(pod))));
      expect(made.containers).toMatchObject([{ name: "weft-proxy", image: DEFAULT_SETTINGS.proxyImage }]);
    });

    it("refuses a wrong resource with field and fix, and lets a right one pass", async () => {
      const text = VIRTUAL_SERVICE(`${to(0)}, ${to(0)}`);
      await expect(create("mesh", text)).rejects.toThrow(
        /denied the request: WEFT0333 error spec\.http\[0\]: all destinations have weight 0\. Fix: give at least one/,
      );
      expect(await create("mesh", VIRTUAL_SERVICE(`${to(90)}, ${to(10)}`))).toContain('"weight": 90');
    });

    it("fails closed for pods of the mesh and open for resources when nobody answers", async () => {
      await webhooks.close();
      await expect(create("mesh", POD("a"))).rejects.toThrow(/failed calling webhook/);
      expect(await create("plain", POD("a"))).toContain('"name": "a"');
      expect(await create("mesh", VIRTUAL_SERVICE(`${to(0)}, ${to(0)}`))).toContain("reviews");
    });
  });
});
