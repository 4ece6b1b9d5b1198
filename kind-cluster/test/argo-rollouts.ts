// The real controller of Argo Rollouts, run against a cluster of the tests, and what its command line would do: the next revision, promote, abort.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import { until } from "../../envoy/e2e/mesh.ts";
import { ensureBinaries } from "./binaries.ts";
import type { Cluster } from "./cluster.ts";

const WRAPPER = join(dirname(fileURLToPath(import.meta.url)), "go", "argo-rollouts");

export interface Rollouts {
  /** Begins the next revision: its pods have one more environment variable. */
  readonly revise: (name: string) => Promise<void>;
  /** Ends the pause of the step that the rollout is at. */
  readonly promote: (name: string) => Promise<void>;
  readonly abort: (name: string) => Promise<void>;
  /** The rollout's phase and what it is waiting for. */
  readonly status: (name: string) => Promise<RolloutStatus>;
  readonly reaches: (name: string, accept: (status: RolloutStatus) => boolean) => Promise<RolloutStatus>;
  readonly close: () => Promise<void>;
}

export interface RolloutStatus {
  readonly phase?: string;
  readonly currentStepIndex?: number;
  readonly pauseConditions?: readonly object[];
  readonly stableRS?: string;
  readonly currentPodHash?: string;
  readonly abort?: boolean;
}

/** Makes the controller's kinds known, and starts it; ready when it leads. */
export async function startArgoRollouts(cluster: Cluster): Promise<Rollouts> {
  const module = (await runTool("go", ["-C", WRAPPER, "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-rollouts"])).trim();
  const kinds = join(module, "manifests", "crds");
  for (const file of (await readdir(kinds)).filter((name) => name.endsWith("-crd.yaml")))
    await cluster.kubectl(["apply", "--server-side", "-f", join(kinds, file)]);
  await cluster.kubectl(["create", "namespace", "argo-rollouts"]);
  const folder = await ensureBinaries("argo-rollouts");
  const log = openSync(join(cluster.folder, "rollouts-controller.log"), "a");
  const args = ["--kubeconfig", cluster.kubeconfig, "--istio-api-version=v1", "--healthzPort=0", "--metricsport=0"];
  const child: ChildProcess = spawn(join(folder, "rollouts-controller"), args, {
    stdio: ["ignore", log, log],
    env: { PATH: process.env.PATH, HOME: cluster.folder },
  });

  const path = (name: string): string => `/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/${name}`;
  const status: Rollouts["status"] = async (name) => (await cluster.api.get<{ status?: RolloutStatus }>(path(name))).status ?? {};
  let revision = 0;
  return {
    revise: async (name) => {
      revision += 1;
      await cluster.api.patch(path(name), { spec: { template: { metadata: { annotations: { revision: String(revision) } } } } });
    },
    promote: async (name) => {
      await cluster.api.patch(`${path(name)}/status`, { status: { pauseConditions: null } });
    },
    abort: async (name) => {
      await cluster.api.patch(`${path(name)}/status`, { status: { abort: true } });
    },
    status,
    reaches: (name, accept) =>
      until(
        `rollout ${name}`,
        async () => {
          const now = await status(name);
          if (accept(now)) return now;
          throw new Error(JSON.stringify(now));
        },
        90_000,
      ),
    close: async () => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      if (child.exitCode === null && child.kill("SIGTERM")) await ended;
    },
  };
}

/** A manifest of Argo Rollouts' own end-to-end tests. */
export function rolloutManifest(conformance: string, name: string): Promise<string> {
  return readFile(join(conformance, "data", "argo-rollouts", "test", "e2e", "istio", `${name}.yaml`), "utf8");
}
