// The definitions of Weft's kinds, installed in a cluster of the tests.
import { join } from "node:path";
import type { Cluster } from "./cluster.ts";

const FOLDER = join(import.meta.dirname, "..", "crds");

/** Applies them and awaits that the API server serves them. */
export async function installDefinitions(cluster: Pick<Cluster, "kubectl">): Promise<void> {
  await cluster.kubectl(["apply", "--server-side", "-f", FOLDER]);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "-f", FOLDER]);
}
