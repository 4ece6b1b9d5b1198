// A real Kubernetes control plane on this machine: etcd, kube-apiserver and kube-controller-manager, on ports that the system chooses, in a folder of their own.
// Out: the administrator's access, and ways to take the API server away and bring it back.
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import { freePorts } from "../../control-plane/test/free-ports.ts";
import { until } from "../../envoy/e2e/mesh.ts";
import { type Api, createApi } from "./api.ts";
import { ensureBinaries } from "./binaries.ts";

export interface ClusterOptions {
  /** Where the API server listens. Pods must reach it there, if there are any. Default 127.0.0.1. */
  readonly address?: string;
  /** Of ClusterIPs. */
  readonly serviceRange?: string;
  /** How long a node may be silent before its pods are not ready. Kubernetes' default is 40 s; 6 s here. */
  readonly nodeGraceSeconds?: number;
}

export interface Cluster {
  /** `https://address:port`. */
  readonly url: string;
  readonly address: string;
  readonly port: number;
  readonly api: Api;
  /** The administrator's, for programs that read KUBECONFIG. */
  readonly kubeconfig: string;
  /** Holds everything; logs are in it, one file per program. */
  readonly folder: string;
  /** Runs `kubectl` with an input, and gives what it wrote. Rejects with its own words. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  /** Takes the API server away as a crash does, and the controllers with it, which lose their leadership. */
  readonly stopApiServer: () => Promise<void>;
  /** The same API server at the same place again, ready. */
  readonly startApiServer: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Kubernetes' own names. What is left out needs a cloud, or a kubelet's and a scheduler's whole work. */
const CONTROLLERS = [
  "deployment-controller",
  "replicaset-controller",
  "daemonset-controller",
  "job-controller",
  "endpointslice-controller",
  "namespace-controller",
  "serviceaccount-controller",
  "root-ca-certificate-publisher-controller",
  "garbage-collector-controller",
  "node-lifecycle-controller",
  "disruption-controller",
];
const STOP_MS = 3_000;

/** Ready when a namespace has its default service account, so that pods can be made. Everything is taken away again where it fails. */
export async function startCluster({ address = "127.0.0.1", serviceRange = "10.96.0.0/16", nodeGraceSeconds = 6 }: ClusterOptions = {}): Promise<Cluster> {
  const programs = await programPaths();
  const folder = await mkdtemp(join(tmpdir(), "weft-cluster-"));
  const file = (name: string): string => join(folder, name);
  const [etcdPort = 0, etcdPeerPort = 0, port = 0] = await freePorts(["127.0.0.1", "127.0.0.1", address]);
  const url = `https://${address}:${port}`;
  const token = randomBytes(24).toString("hex");
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await writeFile(file("tokens.csv"), `${token},administrator,administrator,"system:masters"\n`, { mode: 0o600 });
  await writeFile(file("accounts.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  await writeFile(file("accounts.pub"), publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(file("kubeconfig"), kubeconfigText(url, token, file("apiserver.crt")), { mode: 0o600 });

  const running = new Map<string, ChildProcess>();
  const start = (program: keyof typeof programs, args: readonly string[]): void => {
    const log = openSync(file(`${program}.log`), "a");
    running.set(program, spawn(programs[program], args, { stdio: ["ignore", log, log], env: { PATH: process.env.PATH, HOME: folder } }));
  };
  const end = async (program: keyof typeof programs, signal: NodeJS.Signals): Promise<void> => {
    const child = running.get(program);
    running.delete(program);
    if (child !== undefined) await endProcess(child, signal);
  };

  const startApiServer = async (): Promise<void> => {
    start("kube-apiserver", [
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      `--bind-address=${address}`,
      `--advertise-address=${address}`,
      `--secure-port=${port}`,
      `--cert-dir=${folder}`,
      `--service-cluster-ip-range=${serviceRange}`,
      `--token-auth-file=${file("tokens.csv")}`,
      "--authorization-mode=RBAC",
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-key-file=${file("accounts.pub")}`,
      `--service-account-signing-key-file=${file("accounts.key")}`,
      "--endpoint-reconciler-type=none",
      // Webhooks are called at a Service's endpoints: nothing here carries its ClusterIP for the API server.
      "--enable-aggregator-routing=true",
      "--allow-privileged=true",
      "--shutdown-delay-duration=0s",
    ]);
    await until(
      "the API server",
      async () => ((await answers(`${url}/readyz`, await readFile(file("apiserver.crt"), "utf8"), token)) ? true : undefined),
      120_000,
    );
    start("kube-controller-manager", [
      `--kubeconfig=${file("kubeconfig")}`,
      `--controllers=${CONTROLLERS.join(",")}`,
      `--root-ca-file=${file("apiserver.crt")}`,
      "--leader-elect=false",
      "--secure-port=0",
      "--kube-api-qps=300",
      "--kube-api-burst=600",
      "--node-monitor-period=1s",
      `--node-monitor-grace-period=${nodeGraceSeconds}s`,
    ]);
  };
  const stopApiServer = async (): Promise<void> => {
    await end("kube-controller-manager", "SIGKILL");
    await end("kube-apiserver", "SIGKILL");
  };
  const close = async (): Promise<void> => {
    await stopApiServer();
    await end("etcd", "SIGTERM");
    if (process.env.WEFT_KEEP !== "1") await rm(folder, { recursive: true, force: true });
  };

  try {
    start("etcd", [
      `--data-dir=${file("etcd")}`,
      `--listen-client-urls=http://127.0.0.1:${etcdPort}`,
      `--advertise-client-urls=http://127.0.0.1:${etcdPort}`,
      `--listen-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
      // What it holds need not outlive the machine.
      "--unsafe-no-fsync",
    ]);
    await startApiServer();
    const api = createApi(url, token, await readFile(file("apiserver.crt"), "utf8"));
    await until("the default service account", () => api.get("/api/v1/namespaces/default/serviceaccounts/default"), 60_000);
    const kubectl: Cluster["kubectl"] = (args, input = "") => runTool(programs.kubectl, ["--kubeconfig", file("kubeconfig"), ...args], input);
    return {
      url,
      address,
      port,
      api,
      kubeconfig: file("kubeconfig"),
      folder,
      kubectl,
      startApiServer,
      stopApiServer,
      close: async () => {
        api.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function programPaths(): Promise<Record<"etcd" | "kube-apiserver" | "kube-controller-manager" | "kubectl", string>> {
  const progress = (line: string): boolean => process.stderr.write(`• ${line}\n`);
  const [etcd, kubernetes] = [await ensureBinaries("etcd", progress), await ensureBinaries("kubernetes", progress)];
  return {
    etcd: join(etcd, "etcd"),
    "kube-apiserver": join(kubernetes, "kube-apiserver"),
    "kube-controller-manager": join(kubernetes, "kube-controller-manager"),
    kubectl: join(kubernetes, "kubectl"),
  };
}

function kubeconfigText(url: string, token: string, ca: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority": ca } }],
    users: [{ name: "administrator", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "administrator" } }],
    "current-context": "test",
  });
}

async function answers(url: string, ca: string, token: string): Promise<boolean> {
  const api = createApi(url, token, ca);
  try {
    return (await api.getText(url)) === "ok";
  } finally {
    api.close();
  }
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(timer);
}
