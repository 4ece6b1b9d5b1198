// The control plane of a cluster as a process that is measured: the real entry point, with TLS and tokens, against a real API server.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../../control-plane/test/free-ports.ts";
import { until } from "../../e2e/mesh.ts";
import { cpuSeconds, ended, memory } from "../scale/processes.ts";

export interface ClusterControlPlane {
  readonly xdsPort: number;
  /** From the start of the process until it was ready. */
  readonly readyMs: number;
  readonly cpuSeconds: () => Promise<number>;
  readonly memory: () => Promise<{ readonly now: number; readonly peak: number }>;
  /** The value of a metric without labels, or with just these. */
  readonly metric: (name: string) => Promise<number>;
  readonly end: () => Promise<void>;
}

const MAIN = fileURLToPath(new URL("../../../control-plane/kubernetes/main.ts", import.meta.url));
const READY_MS = 300_000;

/** Resolves when it is ready; rejects with where its log is. */
export async function startControlPlane(kubeconfig: string, folder: string, name: string): Promise<ClusterControlPlane> {
  const [xdsPort = 0, healthPort = 0, webhookPort = 0, adminPort = 0] = await freePorts(Array<string>(4).fill("127.0.0.1"));
  const logPath = join(folder, `${name}.log`);
  const log = openSync(logPath, "w");
  const began = performance.now();
  const options = {
    kubeconfig,
    host: "127.0.0.1",
    pod: name,
    state: join(folder, name),
    "access-log": "",
    "xds-port": String(xdsPort),
    "health-port": String(healthPort),
    "webhook-port": String(webhookPort),
    "admin-port": String(adminPort),
  };
  const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`);
  const child: ChildProcess = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), MAIN, ...args], { stdio: ["ignore", log, log] });
  closeSync(log);
  const ask = async (path: string): Promise<Response> => {
    if (child.exitCode !== null) throw new Error(`the control plane ended with ${child.exitCode}; its log is ${logPath}`);
    return fetch(`http://127.0.0.1:${healthPort}${path}`);
  };
  try {
    await until("the control plane", async () => ((await ask("/readyz")).ok ? true : undefined), READY_MS);
  } catch (error) {
    await ended(child);
    throw error;
  }
  const pid = child.pid ?? 0;
  return {
    xdsPort,
    readyMs: performance.now() - began,
    cpuSeconds: () => cpuSeconds(pid),
    memory: () => memory(pid),
    metric: async (metricName) => {
      const text = await (await ask("/metrics")).text();
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${metricName} `));
      return Number(line?.slice(metricName.length + 1) ?? Number.NaN);
    },
    end: () => ended(child),
  };
}
