// The same requests to the same mesh from a folder and from an API server: the decisions are identical.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import { MESHES, startMesh, type TestMesh, until } from "../../envoy/e2e/mesh.ts";
import { decisionOf, type MatrixAnswer, PARITY_MATRIX, PARITY_PORTS } from "../../envoy/e2e/parity-matrix.ts";
import { workloadNamed } from "../../envoy/e2e/ready.ts";
import { ASK_REQUESTS } from "./test-cluster.ts";
import { startWeftCluster, type WeftCluster } from "./weft-cluster.ts";

describe("a folder and a cluster", () => {
  let folder: TestMesh;
  let cluster: WeftCluster;
  beforeAll(async () => {
    folder = await startMesh(join(MESHES, "parity"), { args: ["--isolate"] });
    cluster = await startWeftCluster();
    await cluster.apply(await readFile(join(MESHES, "parity", "settings.yaml"), "utf8"), "weft-system");
    await cluster.applyFiles(join(MESHES, "parity"), ["workloads.yaml", "traffic.yaml"]);
    for (const labels of [{ app: "caller" }, { app: "echo", version: "v1" }, { app: "echo", version: "v2" }, { app: "shadow" }])
      await cluster.readyPods(1, labels);
  });
  afterAll(async () => {
    await cluster?.close();
    await folder?.close();
  });

  /** All of the matrix, from a network namespace. */
  const ask = async (networkNamespace: string): Promise<readonly MatrixAnswer[]> => {
    const requests = PARITY_MATRIX.map(({ service, path, ...rest }) => ({ url: `http://${service}:${PARITY_PORTS[service]}${path}`, ...rest }));
    return JSON.parse(await runTool("ip", ["netns", "exec", networkNamespace, process.execPath, ASK_REQUESTS], JSON.stringify(requests)));
  };
  /** A pod by the number of its version: the rest of its name is the ReplicaSet's. */
  const inWords = (answer: MatrixAnswer, workloadOf: (pod: string) => string): object => {
    const decision: { pod?: string } = decisionOf(answer);
    return decision.pod === undefined ? decision : { ...decision, pod: workloadOf(decision.pod) };
  };

  it("decide alike about every request", async () => {
    const [caller] = await cluster.readyPods(1, { app: "caller" });
    if (caller === undefined) throw new Error("unreachable: one pod was awaited");
    await until("the rules of the VirtualService", async () => ((await cluster.ask(caller, "http://echo/teapot")).status === 418 ? true : undefined));
    const ofFolder = await ask(workloadNamed(folder.ready, "caller").networkNamespace ?? "");
    const ofCluster = await ask(cluster.networkNamespace(caller));
    for (const [index, { method = "GET", path }] of PARITY_MATRIX.entries()) {
      const [a, b] = [ofFolder[index], ofCluster[index]];
      if (a === undefined || b === undefined) throw new Error("every request has an answer");
      const expected = inWords(a, (pod) => pod.replace(/-\d+$/, ""));
      expect(
        inWords(b, (pod) => pod.split("-").slice(0, -2).join("-")),
        `${method} ${path}`,
      ).toEqual(expected);
    }
  });
});
