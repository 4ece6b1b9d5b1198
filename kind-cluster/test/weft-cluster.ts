// A cluster of the tests with Weft in it, installed by the very manifests of kind-cluster/.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../../envoy/e2e/mesh.ts";
import { installDefinitions } from "./definitions.ts";
import type { Pod } from "./kubelet/objects.ts";
import { startTestCluster, type TestCluster } from "./test-cluster.ts";

const KIND_CLUSTER = join(dirname(fileURLToPath(import.meta.url)), "..");
const READY_MS = 120_000;

export interface WeftCluster extends TestCluster {
  /** The one pod of the ingress gateway. */
  readonly gateway: () => Promise<Pod>;
  /** Awaits that an object says of its present generation that every proxy has it. */
  readonly programmed: (path: string) => Promise<void>;
}

interface WithStatus {
  readonly metadata: { readonly generation: number };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly observedGeneration: number }[] };
}

/** Ready when the control planes and the gateway are, and the namespace `default` is in the mesh. */
export async function startWeftCluster(): Promise<WeftCluster> {
  const cluster = await startTestCluster();
  try {
    await installDefinitions(cluster);
    await cluster.kubectl(["apply", "--server-side", "-k", join(KIND_CLUSTER, "manifests")]);
    await cluster.readyPods(2, { app: "weft-control-plane" }, "weft-system", READY_MS);
    await cluster.readyPods(1, { istio: "ingressgateway" }, "weft-ingress", READY_MS);
    await cluster.kubectl(["label", "namespace", "default", "weft.mesh/injection=enabled"]);
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return {
    ...cluster,
    gateway: async () => {
      const [pod] = await cluster.readyPods(1, { istio: "ingressgateway" }, "weft-ingress");
      if (pod === undefined) throw new Error("unreachable: one pod was awaited");
      return pod;
    },
    programmed: async (path) => {
      await until(`${path} in force`, async () => {
        const { metadata, status } = await cluster.api.get<WithStatus>(path);
        const condition = status?.conditions?.find(({ type }) => type === "Programmed");
        if (condition?.status === "True" && condition.observedGeneration === metadata.generation) return true;
        throw new Error(JSON.stringify(status));
      });
    },
  };
}
