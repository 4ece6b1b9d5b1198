// A whole mesh of `weft up` that lets nobody in without a certificate, with and without `--isolate`: its own programs, strangers, and what policies know of both.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isolationProblem } from "../../control-plane/local/isolation/network.ts";
import { MESHES, startMesh, type TestMesh } from "./mesh.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

const CLIENT = fileURLToPath(new URL("ask-requests.mjs", import.meta.url));
const problem = await isolationProblem();
const missing = process.env.CI === "true" ? undefined : problem;

const peers = (mode: string): string => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: weft-system}
spec: {mtls: {mode: ${mode}}}
`;

/** The workloads of the mesh run under one service account: the gateway's namespace is another. */
const ONLY_THE_MESH = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: echo}
spec: {selector: {matchLabels: {app: echo}}, rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/default]}}]}]}
`;

/** Keeps all requests at one instance, and so on one connection. */
const SAME = { "x-user": "u" };

interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

describe.each([
  { mode: "without --isolate", args: [], skipped: false },
  { mode: "with --isolate", args: ["--isolate"], skipped: missing !== undefined },
])("a mesh $mode", ({ args, skipped }) => {
  let mesh: TestMesh;
  const isolated = args.length > 0;

  beforeAll(async () => {
    if (!skipped) mesh = await startMesh(join(MESHES, "parity"), { args });
  });
  afterAll(() => mesh?.close());

  const serve = async (text: string): Promise<void> => {
    const from = await mesh.write("security.yaml", text);
    await mesh.event("applied", ({ files }) => files.includes("security.yaml"), { from });
    // What was connected before gets one more answer, and the connection is closed with it.
    if (text !== "") fromCaller();
  };
  const ask = (program: readonly string[], request: object): Answer => {
    const [command = "", ...rest] = program;
    const { stdout, stderr } = spawnSync(command, rest, { encoding: "utf8", input: JSON.stringify([request]) });
    const [answer] = stdout === "" ? [] : JSON.parse(stdout);
    if (answer === undefined) throw new Error(`no answer: ${stderr}`);
    return answer;
  };
  const fromCaller = (): Answer => {
    const { networkNamespace = "" } = workloadNamed(mesh.ready, "caller");
    return isolated
      ? ask(["ip", "netns", "exec", networkNamespace, process.execPath, CLIENT], { url: "http://echo/", headers: SAME })
      : ask([process.execPath, CLIENT], { url: `${serviceUrl(mesh.ready, "caller", "echo.")}/`, headers: SAME });
  };
  const fromNowhere = (): Answer => ask([process.execPath, CLIENT], { url: `${workloadNamed(mesh.ready, "echo-v1").url}/` });
  const certificateIn = ({ body = "{}" }: Answer): unknown => JSON.parse(body).headers?.["x-forwarded-client-cert"];

  it.skipIf(skipped)("serves its own by mutual TLS and strangers in plain text, as long as no policy says otherwise", () => {
    const own = fromCaller();
    expect(own.status).toBe(200);
    expect(certificateIn(own)).toContain("URI=spiffe://cluster.local/ns/default/sa/default");
    const stranger = fromNowhere();
    expect(stranger.status).toBe(200);
    expect(certificateIn(stranger)).toBeUndefined();
  });

  it.skipIf(skipped)("refuses strangers under STRICT", async () => {
    await serve(peers("STRICT"));
    expect(fromCaller().status).toBe(200);
    expect(fromNowhere()).toEqual({ error: expect.any(String) });
  });

  it.skipIf(skipped)("knows its own by their certificates, and strangers by having none", async () => {
    await serve(peers("PERMISSIVE") + ONLY_THE_MESH);
    expect(fromCaller().status).toBe(200);
    expect(fromNowhere().status).toBe(403);
  });

  it.skipIf(skipped)("is in plain text under DISABLE", async () => {
    await serve(peers("DISABLE"));
    const own = fromCaller();
    expect([own.status, certificateIn(own)]).toEqual([200, undefined]);
  });

  // Without interception nothing comes in but at ports that are declared.
  if (!isolated) return;
  it.skipIf(skipped)("holds at ports that nobody declares, too", async () => {
    const { address, networkNamespace = "" } = workloadNamed(mesh.ready, "echo-v1");
    const program = 'require("http").createServer((q, r) => r.end("open")).listen(9099, "0.0.0.0", () => console.log("listens"))';
    const server = spawn("ip", ["netns", "exec", networkNamespace, process.execPath, "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await new Promise((resolve) => server.stdout.once("data", resolve));
      const direct = () => ask([process.execPath, CLIENT], { url: `http://${address}:9099/` });
      await serve(peers("PERMISSIVE"));
      expect(direct()).toMatchObject({ status: 200, body: "open" });
      await serve(peers("STRICT"));
      expect(direct()).toEqual({ error: expect.any(String) });
      await serve(peers("PERMISSIVE") + ONLY_THE_MESH);
      expect(direct()).toEqual({ error: expect.any(String) });
    } finally {
      server.kill("SIGKILL");
    }
  });
});
