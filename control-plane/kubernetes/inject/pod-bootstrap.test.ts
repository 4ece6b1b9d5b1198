import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureEnvoy } from "../../../envoy/install.ts";
import { createRoot, type Issuer, type Leaf } from "../../ca/certificates.ts";
import { issueServer } from "../../ca/first-authority.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import { freePort } from "../../test/free-ports.ts";
import { rootsConfigMap } from "../pod-contract.ts";
import { podBootstrap } from "./pod-bootstrap.ts";
import { rewriteProbes } from "./probes.ts";
import { DEFAULT_SETTINGS } from "./settings.ts";

/** As the kubelet writes a volume: files in a folder of their own, to which `..data` leads, and which is exchanged at once. */
async function writeVolume(folder: string, generation: number, token: string, roots: readonly string[]): Promise<void> {
  const own = `..${generation}`;
  await mkdir(join(folder, own, "roots"), { recursive: true });
  await writeFile(join(folder, own, "token"), token);
  for (const [key, text] of Object.entries(rootsConfigMap(roots, folder))) await writeFile(join(folder, own, "roots", key), text);
  await symlink(own, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

/** The token and the certificate's generation of each stream that the control plane was asked for. */
interface Asked {
  readonly authorization: string | undefined;
}

describe("the bootstrap of a pod", () => {
  let folder = "";
  let roots: readonly [Issuer, Issuer];
  let leaves: readonly [Leaf, Leaf];
  let server: Http2SecureServer;
  let envoy: ChildProcess;
  let log = "";
  const asked: Asked[] = [];
  let answers = false;
  const ports = { ready: 0, metrics: 0, probes: 0, admin: 0, app: 0 };
  const app = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "weft-pod-"));
    roots = [await createRoot(1, Date.now()), await createRoot(2, Date.now())];
    leaves = [await issueServer(roots[0], "cluster.local", Date.now(), 3_600_000), await issueServer(roots[1], "cluster.local", Date.now(), 3_600_000)];
    await writeVolume(folder, 1, "first", roots[0].rootsPem);
    await symlink("..data/token", join(folder, "token"));
    await symlink("..data/roots", join(folder, "roots"));
    server = createSecureServer({ ...contextOf(leaves[0], roots[0]), minVersion: "TLSv1.3" });
    server.on("stream", (stream, headers) => {
      asked.push({ authorization: headers.authorization });
      if (answers) return answerEmpty(stream);
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    for (const name of ["ready", "metrics", "probes", "admin"] as const) ports[name] = await freePort();
    ports.app = portOf(app.address());
    const probes = rewriteProbes([{ name: "app", readinessProbe: { httpGet: { path: "/healthz", port: ports.app } } }], "127.0.0.1");
    const settings = { ...DEFAULT_SETTINGS, controlPlane: { host: "localhost", port: portOf(server.address()) } };
    const text = podBootstrap(settings, probes, join(folder, "roots"))
      .replaceAll('"port_value":15000', `"port_value":${ports.admin}`)
      .replaceAll('"port_value":15020', `"port_value":${ports.probes}`)
      .replaceAll('"port_value":15021', `"port_value":${ports.ready}`)
      .replaceAll('"port_value":15090', `"port_value":${ports.metrics}`);
    const args = ["--config-yaml", text, "--service-node", "app-1.default", "--service-cluster", "app.default", "--disable-hot-restart", "--concurrency", "1"];
    envoy = spawn(await ensureEnvoy(), [...args, "--log-level", "warning"], { stdio: ["ignore", "ignore", "pipe"] });
    envoy.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      log += chunk;
    });
  });
  afterAll(async () => {
    envoy.kill("SIGKILL");
    server.close();
    app.close();
    await rm(folder, { recursive: true, force: true });
  });

  const until = async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 60_000; ; ) {
      if (await isSo()) return;
      if (Date.now() > end) throw new Error(`waited in vain until ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const status = async (port: number, path: string): Promise<number> =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      (answer) => answer.status,
      () => 0,
    );

  it("asks the control plane by TLS, with the pod's own token", async () => {
    await until("the first stream", () => asked.some(({ authorization }) => authorization === "Bearer first"));
  });

  it("follows token and roots when the kubelet renews them", async () => {
    await writeVolume(folder, 2, "second", [...roots[0].rootsPem, ...roots[1].rootsPem]);
    await until("the second token", () => asked.at(-1)?.authorization === "Bearer second");
    const before = asked.length;
    server.setSecureContext(contextOf(leaves[1], roots[1]));
    await until("a stream by the second root", () => asked.length > before + 3);
  });

  it("is ready only when the control plane has said what there is", async () => {
    expect(await status(ports.ready, "/healthz/ready")).toBe(0);
    answers = true;
    await until("the proxy is ready", async () => (await status(ports.ready, "/healthz/ready")) === 200);
    expect(await status(ports.ready, "/quitquitquit")).toBe(404);
  });

  it("answers Prometheus, and hands the kubelet's probes on", async () => {
    expect(await status(ports.metrics, "/stats/prometheus")).toBe(200);
    expect(await status(ports.probes, "/app-health/app/readyz")).toBe(200);
    expect(await status(ports.probes, "/app-health/other/readyz")).toBe(404);
  });

  it("uses nothing that Envoy is about to drop", () => {
    expect(log).not.toMatch(/deprecated|\[critical\]|\[error\]/i);
  });
});

/** A control plane whose mesh is empty. */
function answerEmpty(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" });
  let received = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= FRAME_BYTES && received.length >= FRAME_BYTES + received.readUInt32BE(1)) {
      const end = FRAME_BYTES + received.readUInt32BE(1);
      const { typeUrl, responseNonce } = fromBinary(DeltaDiscoveryRequestSchema, received.subarray(FRAME_BYTES, end));
      received = received.subarray(end);
      if (responseNonce !== "") continue;
      const body = toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: "1" }));
      const head = Buffer.alloc(FRAME_BYTES);
      head.writeUInt32BE(body.length, 1);
      stream.write(Buffer.concat([head, body]));
    }
  });
  stream.on("error", () => undefined);
}

/** Of a message of gRPC: a flag, and its length. */
const FRAME_BYTES = 5;

function contextOf(leaf: Leaf, root: Issuer): { readonly cert: string; readonly key: string } {
  return { cert: leaf.chainPem + root.chainPem, key: leaf.privateKey.reveal() };
}

function portOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
