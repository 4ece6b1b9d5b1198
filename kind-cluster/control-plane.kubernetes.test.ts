// The control plane on a real API server, with no more rights than kind-cluster/manifests/rbac.yaml gives it. No pod runs here: what there is, is written.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ClusterControlPlane, startClusterControlPlane } from "../control-plane/kubernetes/cluster.ts";
import { DEFAULT_SETTINGS } from "../control-plane/kubernetes/inject/settings.ts";
import { statusText } from "../control-plane/kubernetes/inject/status.ts";
import { createTokenReview } from "../control-plane/kubernetes/token-review.ts";
import { createKubernetesApi, type KubernetesApi, kubeconfigConnection } from "../control-plane/source/kubernetes-api.ts";
import { until } from "../envoy/e2e/mesh.ts";
import { type Cluster, startCluster } from "./test/cluster.ts";
import { installDefinitions } from "./test/definitions.ts";

const FOLDER = import.meta.dirname;
const VIRTUAL_SERVICES = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";

let cluster: Cluster;
let state: string;
const lines: { readonly level: number; readonly msg: string; readonly error?: string }[] = [];
const apis: KubernetesApi[] = [];
const running: ClusterControlPlane[] = [];

/** As the service account of the control planes. */
async function restrictedApi(): Promise<KubernetesApi> {
  const { tls } = await kubeconfigConnection({ path: cluster.kubeconfig });
  const asked = await cluster.api.post<{ status: { token: string } }>("/api/v1/namespaces/weft-system/serviceaccounts/weft-control-plane/token", {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {},
  });
  const api = createKubernetesApi({
    url: cluster.url,
    ...(tls === undefined ? {} : { tls }),
    headers: async () => ({ authorization: `Bearer ${asked.status.token}` }),
  });
  apis.push(api);
  return api;
}

async function startControlPlane(podName: string): Promise<ClusterControlPlane> {
  const logger = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const started = await startClusterControlPlane({
    api: await restrictedApi(),
    logger,
    rootNamespace: "weft-system",
    podName,
    stateFolder: join(state, podName),
    host: "127.0.0.1",
    ports: { xds: 0, health: 0, webhooks: 0, admin: 0 },
    externalCa: false,
    injection: DEFAULT_SETTINGS,
    wasm: Uint8Array.of(0),
  });
  running.push(started);
  return started;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** The conditions of an object's present generation, by type. */
function conditions(path: string): Promise<ReadonlyMap<string, Condition>> {
  return until(`a status of ${path}`, async () => {
    const { metadata, status } = await cluster.api.get<{
      metadata: { generation: number };
      status?: { observedGeneration?: number; conditions?: Condition[] };
    }>(path);
    if (Number(status?.observedGeneration) !== metadata.generation) throw new Error(JSON.stringify(status));
    return new Map((status?.conditions ?? []).map((condition) => [condition.type, condition]));
  });
}

function virtualService(name: string, weights: readonly number[]): string {
  const route = weights.map((weight) => ({ destination: { host: name }, weight }));
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name, namespace: "default" },
    spec: { hosts: [name], http: [{ route }] },
  });
}

/** The command line as a process of its own, with both of its outputs. */
async function weft(...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const context = (await cluster.kubectl(["config", "current-context"])).trim();
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(FOLDER, "../control-plane/cli/weft.mjs"), "--kubeconfig", cluster.kubeconfig, "--context", context, ...args],
      (error, stdout, stderr) => resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, output: stdout + stderr }),
    );
  });
}

const apply = (text: string): Promise<string> => cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], text);

beforeAll(async () => {
  cluster = await startCluster();
  state = await mkdtemp(join(tmpdir(), "weft-control-plane-"));
  await installDefinitions(cluster);
  for (const file of ["namespaces.yaml", "rbac.yaml"]) await cluster.kubectl(["apply", "--server-side", "-f", join(FOLDER, "manifests", file)]);
  await startControlPlane("one");
});
afterAll(async () => {
  for (const controlPlane of running) await controlPlane.close();
  for (const api of apis) api.close();
  await cluster?.close();
  await rm(state, { recursive: true, force: true });
});

describe("a control plane in a cluster", () => {
  it("is ready, leads, and has made the mesh's root", async () => {
    const [one] = running;
    await until("readiness", async () => ((await fetch(`http://127.0.0.1:${one?.ports.health}/readyz`)).ok ? true : undefined));
    await until("the Lease", async () => (one?.leads() === true ? true : undefined));
    const secret = await cluster.api.get<{ type: string; data: Record<string, string> }>("/api/v1/namespaces/weft-system/secrets/weft-ca");
    expect(secret.type).toBe("kubernetes.io/tls");
    expect(Object.keys(secret.data).sort()).toEqual(["ca.crt", "tls.crt", "tls.key"]);
    for (const namespace of ["default", "weft-system", "weft-ingress", "kube-system"]) {
      const map = await until(`roots in ${namespace}`, () =>
        cluster.api.get<{ data: Record<string, string> }>(`/api/v1/namespaces/${namespace}/configmaps/weft-roots`),
      );
      expect(map.data["root.pem"]).toBe(Buffer.from(secret.data["ca.crt"] ?? "", "base64").toString());
    }
    expect(await (await fetch(`http://127.0.0.1:${one?.ports.health}/metrics`)).text()).toMatch(/^# /m);
  });

  it("says of each resource whether it is right and who has it, once", async () => {
    await apply(virtualService("color", [90, 10]));
    const first = await conditions(`${VIRTUAL_SERVICES}/color`);
    expect(first.get("Accepted")).toMatchObject({ status: "True", reason: "Accepted" });
    expect(first.get("Programmed")).toMatchObject({ status: "True", reason: "NotNeeded" });
    const before = await cluster.api.get<{ metadata: { resourceVersion: string } }>(`${VIRTUAL_SERVICES}/color`);
    const [one] = running;
    const [written, published] = [one?.statusesWritten(), publications()];
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect([one?.statusesWritten(), publications()]).toEqual([written, published]);
    const after = await cluster.api.get<{ metadata: { resourceVersion: string } }>(`${VIRTUAL_SERVICES}/color`);
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  it("says what is wrong, serves the last good version, and keeps it for a control plane that starts", async () => {
    await apply(virtualService("color", [90, 10]));
    await conditions(`${VIRTUAL_SERVICES}/color`);
    await apply(virtualService("color", [0, 0]));
    const wrong = await conditions(`${VIRTUAL_SERVICES}/color`);
    expect(wrong.get("Accepted")).toMatchObject({
      status: "False",
      reason: "Invalid",
      message: expect.stringContaining("its last good version serves meanwhile"),
    });
    const kept = await until("what was last good", () =>
      cluster.api.get<{ data: Record<string, string> }>("/api/v1/namespaces/weft-system/configmaps/weft-last-good"),
    );
    expect(kept.data["last-good.json"]).toContain('"weight":90');
    await startControlPlane("two");
    const two = running.at(-1);
    const serving = JSON.stringify(two?.controlPlane.answers["/resources"]?.());
    expect(serving).toContain('"weight":90');
    await apply(virtualService("color", [50, 50]));
    expect((await conditions(`${VIRTUAL_SERVICES}/color`)).get("Accepted")).toMatchObject({ status: "True" });
  });

  it("counts the proxies that have a resource, and those that have it not", async () => {
    // By itself a proxy needs what its workload has called, which here is nothing.
    await apply(
      JSON.stringify({ apiVersion: "weft.mesh/v1alpha1", kind: "MeshConfig", metadata: { name: "default", namespace: "weft-system" }, spec: { scope: "all" } }),
    );
    const status = statusText({ version: "1", revision: "default", kind: "sidecar", initContainers: [], containers: [], volumes: [] });
    const labels = { app: "color" };
    await cluster.api.post("/api/v1/namespaces/default/pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "color-1", labels, annotations: { "weft.mesh/status": status } },
      spec: { nodeName: "nowhere", containers: [{ name: "main", image: "x", ports: [{ containerPort: 80 }] }] },
    });
    await cluster.api.patch("/api/v1/namespaces/default/pods/color-1/status", { status: { podIP: "10.9.9.9", phase: "Running" } });
    await apply(
      JSON.stringify({
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "color", namespace: "default" },
        spec: { selector: labels, ports: [{ name: "http", port: 80 }] },
      }),
    );
    await until("a proxy that waits", async () => {
      const found = (await conditions(`${VIRTUAL_SERVICES}/color`)).get("Programmed");
      if (found?.message !== "0/1 proxies") throw new Error(JSON.stringify(found));
      expect(found).toMatchObject({ status: "False", reason: "Pending" });
      return found;
    });
  });

  it("is asked by weft as a folder is", async () => {
    const waited = await weft("wait", "vs/color", "--timeout", "2");
    expect(waited).toMatchObject({ code: 1, output: expect.stringContaining("0 of 1 proxies have it") });
    expect((await weft("get", "vs")).output).toMatch(/VirtualService +default +color +0\/1 +default\/VirtualService\/color:1 +ok/);
    expect((await weft("get", "vs", "color", "-o", "json")).output).toContain('"weight": 50');
    expect(await weft("analyze")).toMatchObject({ code: 0, output: expect.stringMatching(/^no problems in \d+ files/) });
    const change = join(state, "change.yaml");
    await writeFile(change, virtualService("color", [100, 0]));
    expect((await weft("diff", change)).output).toMatch(/color/);
    expect((await weft("explain", "GET", "http://color/")).output).toContain("color.default.svc.cluster.local");
    expect(await weft("ps")).toMatchObject({ code: 2, output: expect.stringContaining("not about a cluster") });
    expect(await weft("proxy-status")).toMatchObject({ code: 1, output: expect.stringContaining("no control plane runs in weft-system") });
  });

  it("knows a proxy by the token of its pod, and by no other", async () => {
    const authenticate = createTokenReview(await restrictedApi(), Date.now);
    const request = async (spec: object): Promise<string> => {
      const asked = await cluster.api.post<{ status: { token: string } }>("/api/v1/namespaces/default/serviceaccounts/default/token", {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec,
      });
      return `Bearer ${asked.status.token}`;
    };
    const pod = await cluster.api.get<{ metadata: { uid: string } }>("/api/v1/namespaces/default/pods/color-1");
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: "color-1", uid: pod.metadata.uid };
    const peer = await authenticate(await request({ audiences: ["weft-xds"], boundObjectRef, expirationSeconds: 3_600 }));
    expect(peer).toMatchObject({ namespace: "default", serviceAccount: "default", proxyId: "color-1.default" });
    expect(peer.expiresAtMs - Date.now()).toBeGreaterThan(3_500_000);
    await expect(authenticate(await request({ boundObjectRef }))).rejects.toThrow(/weft-xds|does not know/);
    await expect(authenticate(await request({ audiences: ["weft-xds"] }))).rejects.toThrow(/bound to no pod/);
    await expect(authenticate("Bearer a.b.c")).rejects.toThrow(/does not know the token/);
    await expect(authenticate(undefined)).rejects.toThrow(/missing/);
  });

  it("tells the API server whom to trust when it calls the webhooks", async () => {
    await cluster.kubectl(["apply", "--server-side", "-f", join(FOLDER, "manifests/webhooks.yaml")]);
    const root = await cluster.api.get<{ data: Record<string, string> }>("/api/v1/namespaces/weft-system/secrets/weft-ca");
    for (const path of ["mutatingwebhookconfigurations/weft-injection", "validatingwebhookconfigurations/weft-validation"]) {
      await until(`the bundle of ${path}`, async () => {
        const { webhooks } = await cluster.api.get<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(`/apis/admissionregistration.k8s.io/v1/${path}`);
        return webhooks.every(({ clientConfig }) => clientConfig.caBundle === root.data["ca.crt"]) ? true : undefined;
      });
    }
  });

  it("hands its place to another one when it ends", async () => {
    const [one, two] = running;
    expect(two?.leads()).toBe(false);
    await one?.close();
    running.shift();
    await until("another leader", async () => (two?.leads() === true ? true : undefined));
    await cluster.api.delete("/api/v1/namespaces/default/pods/color-1?gracePeriodSeconds=0");
    await apply(virtualService("color", [1, 99]));
    expect((await conditions(`${VIRTUAL_SERVICES}/color`)).get("Accepted")).toMatchObject({ status: "True" });
  });

  it("needed no right that it does not have", async () => {
    expect(lines.filter(({ level, error }) => level >= 40 && error?.includes("403"))).toEqual([]);
    expect(await readFile(join(FOLDER, "manifests/rbac.yaml"), "utf8")).not.toContain('verbs: ["*"]');
  });
});

function publications(): number {
  return lines.filter(({ msg }) => msg === "published").length;
}
