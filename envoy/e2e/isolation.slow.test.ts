// The same requests with and without `--isolate`: an unmodified program that calls services by their names is decided about like one that calls its sidecar's
// listeners. Needs Linux, root, and the programs ip and iptables.
import { spawn, spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isolationProblem } from "../../control-plane/local/isolation/network.ts";
import { MESHES, startMesh, type TestMesh, until } from "./mesh.ts";
import { decisionOf, type MatrixAnswer, type MatrixRequest, PARITY_MATRIX, PARITY_PORTS } from "./parity-matrix.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

const CLIENT = fileURLToPath(new URL("ask-requests.mjs", import.meta.url));
const problem = await isolationProblem();
const missing = process.env.CI === "true" ? undefined : problem;

describe.skipIf(missing !== undefined)(`parity with and without --isolate${missing === undefined ? "" : ` (skipped: ${missing.split(". Fix")[0]})`}`, () => {
  let plain: TestMesh;
  let isolated: TestMesh;
  let outside: Server;
  let outsidePort: number;

  beforeAll(async () => {
    if (problem !== undefined) throw new Error(problem);
    outside = createServer((_request, response) => response.end("outside"));
    await new Promise<void>((resolve) => outside.listen(0, "0.0.0.0", resolve));
    const address = outside.address();
    outsidePort = typeof address === "object" && address !== null ? address.port : 0;
    plain = await startMesh(join(MESHES, "parity"));
    isolated = await startMesh(join(MESHES, "parity"), { args: ["--isolate"] });
  });
  afterAll(async () => {
    await plain?.close();
    await isolated?.close();
    outside?.close();
  });

  const caller = () => workloadNamed(isolated.ready, "caller");
  /** This machine, as instances reach it. */
  const machine = () => caller().address.replace(/\.\d+\.\d+$/, ".255.254");
  const send = (program: readonly string[], requests: readonly object[]): Promise<readonly MatrixAnswer[]> =>
    new Promise((resolve, reject) => {
      const [command = "", ...args] = program;
      const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
      let text = "";
      child.stdout.on("data", (chunk) => (text += chunk));
      child.on("error", reject);
      child.on("close", (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`the client ended with ${code}`))));
      child.stdin.end(JSON.stringify(requests));
    });
  const fromPlain = (requests: readonly object[]) => send([process.execPath, CLIENT], requests);
  const fromIsolated = (requests: readonly object[]) => send(["ip", "netns", "exec", caller().networkNamespace ?? "", process.execPath, CLIENT], requests);

  /** Route and cluster of the last requests of the caller. */
  const logged = async (mesh: TestMesh): Promise<readonly string[]> => {
    const text = await readFile(workloadNamed(mesh.ready, "caller").accessLog, "utf8").catch(() => "");
    const lines = text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
    return lines
      .filter(({ direction }) => direction === "outbound")
      .map(({ method, path, route, cluster, status, flags }) => `${method} ${path} ${route} ${cluster} ${status} ${flags}`);
  };

  it("decides alike about every request", async () => {
    const ofPlain = await fromPlain(
      PARITY_MATRIX.map(({ service, path, ...rest }) => ({ url: `${serviceUrl(plain.ready, "caller", `${service}.`)}${path}`, ...rest })),
    );
    const ofIsolated = await fromIsolated(
      PARITY_MATRIX.map(({ service, path, ...rest }) => ({ url: `http://${service}:${PARITY_PORTS[service]}${path}`, ...rest })),
    );
    // The bytes of a connection are the program's own: it names whom it called.
    const own = ({ service }: MatrixRequest) => service === "raw";
    for (const [index, asked] of PARITY_MATRIX.entries()) {
      const [a, b] = [ofPlain[index], ofIsolated[index]];
      if (a === undefined || b === undefined) throw new Error("every request has an answer");
      const [inPlain, inIsolated] = [decisionOf(a), decisionOf(b)];
      if (own(asked)) expect(inIsolated).toMatchObject({ status: 200, pod: "shadow-1", path: asked.path });
      else expect(inIsolated, `${asked.method ?? "GET"} ${asked.path}`).toEqual(inPlain);
    }
    const count = PARITY_MATRIX.length;
    await until("all requests in both logs", async () =>
      (await logged(plain)).length >= count && (await logged(isolated)).length >= count ? true : undefined,
    );
    expect((await logged(isolated)).slice(0, count)).toEqual((await logged(plain)).slice(0, count));
  });

  it("reaches other instances by their own addresses, and keeps the proxies' ports from everybody else", async () => {
    const shadow = workloadNamed(isolated.ready, "shadow");
    const [direct, admin] = await fromIsolated([
      { url: `http://${shadow.address}:8080/direct` },
      { url: `${shadow.sidecar.admin}/quitquitquit`, method: "POST" },
    ]);
    expect(direct).toMatchObject({ status: 200, body: expect.stringContaining('"pod":"shadow-1"') });
    expect(admin?.status).toBeUndefined();
    expect((await fetch(`${shadow.sidecar.admin}/ready`)).status).toBe(200);
  });

  it("explains a request of an isolated instance", async () => {
    const { stdout, code } = await isolated.weft("explain", "--live", "--from", "caller", "GET", "http://echo/api/x", "-H", "x-beta: yes", "-o", "json");
    expect(code).toBe(0);
    expect(stdout).toContain("outbound|80|v2|echo.default.svc.cluster.local");
  });

  it("lets programs call outside the mesh or not, as outboundTrafficPolicy says, and lists what they called, on both ways", async () => {
    const viaProxy = [{ url: `http://127.0.0.1:${outsidePort}/`, proxy: workloadNamed(plain.ready, "caller").httpProxy }];
    const direct = [{ url: `http://${machine()}:${outsidePort}/` }];
    expect(await fromPlain(viaProxy)).toMatchObject([{ status: 200, body: "outside" }]);
    expect(await fromIsolated(direct)).toMatchObject([{ status: 200, body: "outside" }]);
    for (const mesh of [plain, isolated]) {
      const from = await mesh.edit("settings.yaml", (text) => text.replace("ALLOW_ANY", "REGISTRY_ONLY"));
      await mesh.event("applied", ({ files }) => files.includes("settings.yaml"), { from });
    }
    expect(await fromPlain(viaProxy)).toMatchObject([{ status: 502 }]);
    expect((await fromIsolated(direct))[0]?.error).toBeDefined();
    expect(await fromIsolated([{ url: `http://${machine()}/` }])).toMatchObject([{ status: 502 }]);
    const targets = { plain: `127.0.0.1:${outsidePort}`, isolated: `${machine()}:${outsidePort}` };
    for (const [mesh, target] of [
      [plain, targets.plain],
      [isolated, targets.isolated],
    ] as const) {
      const calls = await until(`${target} in the list of what is called outside`, async () => {
        const { stdout } = await mesh.weft("ps", "--external", "-o", "json");
        const found: readonly { target: string; verdict: string }[] = JSON.parse(stdout);
        return found.some(({ verdict }) => verdict === "refused") ? found : undefined;
      });
      expect(calls).toContainEqual(expect.objectContaining({ workload: "caller", target, verdict: "passed", count: 1, failed: 0 }));
      expect(calls).toContainEqual(expect.objectContaining({ workload: "caller", target, verdict: "refused", count: 1 }));
    }
  });

  it("takes away, at the next start, what a mesh has left behind that was killed", async () => {
    const killed = await startMesh(join(MESHES, "parity"), { args: ["--isolate"] });
    const { networkNamespace = "", pid } = workloadNamed(killed.ready, "caller");
    const runner = Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
    process.kill(runner, "SIGKILL");
    await until(
      "the programs of the killed mesh have ended",
      async () => (await readFile(`/proc/${pid}/status`).catch(() => undefined)) === undefined || undefined,
    );
    const namespaces = () => spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout;
    expect(namespaces()).toContain(networkNamespace);
    const next = await startMesh(join(MESHES, "parity"), { args: ["--isolate"] });
    const [mark = ""] = /^weft-\d+-/.exec(networkNamespace) ?? [];
    if (!workloadNamed(next.ready, "caller").networkNamespace?.startsWith(mark)) expect(namespaces()).not.toContain(mark);
    expect(namespaces()).toContain(caller().networkNamespace);
    await next.close();
    await killed.close();
  });

  it("leaves nothing behind", async () => {
    const { networkNamespace = "" } = caller();
    const [mark = ""] = /^weft-\d+/.exec(networkNamespace) ?? [];
    await isolated.close();
    const rest = spawnSync("sh", ["-c", "ip netns list; ip -o link; iptables -S; iptables -t nat -S"], { encoding: "utf8" }).stdout;
    expect(rest).not.toContain(mark);
    expect(rest).not.toContain(mark.replace("-", ""));
    expect((await readdir("/etc/netns").catch(() => [])).filter((name) => name.startsWith(`${mark}-`))).toEqual([]);
  });
});
