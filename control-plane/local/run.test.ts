// The runner with real processes: applications of its own, and stand-ins for the control plane and for Envoy.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { callRunner } from "./api-client.ts";
import type { RunnerEvent } from "./events.ts";
import { desiredHost, desiredOfParts, desiredWorkload } from "./fixtures.ts";
import type { Desired } from "./protocol.ts";
import { type RunningMesh, runMesh } from "./run.ts";

const standIn = (file: string): string => fileURLToPath(new URL(`stand-in/${file}`, import.meta.url));
const image = {
  image: "product",
  command: [process.execPath, standIn("workload.mjs")],
  env: { GREETING: "${POD_NAME} of ${IMAGE_TAG} in ${ZONE}", ORDERS: "${service:orders}" },
};
const hosts = [desiredHost("orders", [80])];
const pod = { nodeSelector: { "topology.kubernetes.io/zone": "ap-northeast-2a" }, terminationGracePeriodSeconds: 5 };
const product = (digest = "1", replicas = 1) => desiredWorkload("product", { pod, digest, replicas });

/** A generous limit for what is awaited. */
const WAIT = { timeout: 20_000, interval: 20 };

describe.runIf(process.platform === "linux")("runner", () => {
  let base: string;
  let folder: string;
  let mesh: RunningMesh | undefined;
  let events: RunnerEvent[];

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "weft-run-"));
    folder = base;
    events = [];
    process.env.WEFT_STATE = join(base, "state");
  });
  afterEach(async () => {
    await mesh?.stop();
    mesh = undefined;
    delete process.env.WEFT_STATE;
    await rm(base, { recursive: true, force: true });
  });

  const desire = (desired: Desired): Promise<void> => writeFile(join(folder, "desired.json"), JSON.stringify(desired));
  const run = (): Promise<RunningMesh> =>
    runMesh({ folder, envoy: standIn("envoy.mjs"), controlPlane: standIn("control-plane.ts"), gatewayPort: 0, emit: (event) => events.push(event) });
  const start = async (desired: Desired): Promise<RunningMesh> => {
    await desire(desired);
    mesh = await run();
    return mesh;
  };
  /** States that instances went through, from event number `from` on. */
  const states = (from = 0): readonly string[] =>
    events.slice(from).flatMap((event) => (event.event === "workload" ? [`${event.instance} ${event.state}`] : []));
  const until = async (done: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await done())) await sleep(10);
  };
  /** What the application says of itself at each of its first `count` starts. It may say it a little after its port is open. */
  const starts = async (log: string, count: number): Promise<readonly Record<string, unknown>[]> => {
    const lines = async () => (await readFile(log, "utf8")).split("\n").slice(0, -1);
    await until(async () => (await lines()).length >= count);
    return (await lines()).map((line) => JSON.parse(line));
  };

  it("starts workloads with what they need, and tells every address", async () => {
    const gateway = { selector: { istio: "ingressgateway" }, namespace: "default", ports: [80] };
    const { ready } = await start(desiredOfParts({ workloads: [product("1", 2)], hosts, images: [image], gateways: [gateway] }));
    expect(ready.workloads.map(({ instance, zone }) => ({ instance, zone }))).toEqual([
      { instance: "product-1", zone: "ap-northeast-2a" },
      { instance: "product-2", zone: "ap-northeast-2a" },
    ]);
    const [first, second] = ready.workloads;
    expect(first?.address).not.toBe(second?.address);
    expect(first?.url).toBe(`http://${first?.address}:8080`);
    const orders = first?.services["orders.default.svc.cluster.local:80"];
    expect(orders).toMatch(/^http:\/\/127\.\d+\.0\.\d+:8080$/);
    expect(Object.keys(first?.explain ?? {})).toEqual(["orders.default.svc.cluster.local:80", "http-proxy"]);
    const [said] = await starts(first?.log ?? "", 1);
    expect(said).toMatchObject({
      pid: first?.pid,
      POD_NAME: "product-1",
      POD_IP: first?.address,
      HTTP_PROXY: first?.httpProxy,
      GREETING: "product-1 of 1 in ap-northeast-2a",
      ORDERS: orders?.replace("http://", ""),
    });
    expect(ready.gateways).toMatchObject([{ name: "istio=ingressgateway", id: "istio-ingressgateway.default", ports: [{ number: 80 }] }]);
    expect((await stat(join(base, "state"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(base, "state", "runner.sock"))).mode & 0o777).toBe(0o600);
  });

  it("starts a crashed application again, with its children gone and its log kept", async () => {
    const { ready } = await start(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    const [workload] = ready.workloads;
    if (workload === undefined) throw new Error("no workload");
    const from = events.length;
    killNow(workload.pid);
    await until(() => states(from).includes("product-1 ready"));
    expect(states(from)).toEqual(["product-1 crashed", "product-1 starting", "product-1 ready"]);
    expect(events.slice(from).find((event) => event.event === "workload" && event.state === "crashed")).toMatchObject({
      text: expect.stringContaining(`ended by SIGKILL, and said last: {"pid":${workload.pid},`),
    });
    const [before, after] = await starts(workload.log, 2);
    expect(isAlive(Number(before?.child))).toBe(false);
    expect(await callRunner(folder, "ps")).toMatchObject([{ state: "ready", restarts: 1, pid: after?.pid, sidecar: { connected: true, upToDate: true } }]);
  });

  it("stops and starts a workload on purpose", async () => {
    await start(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    const from = events.length;
    expect(await callRunner(folder, "stop", { workload: "product", zone: "a" })).toMatchObject({ instances: ["product-1"] });
    expect(states(from)).toEqual(["product-1 draining", "product-1 stopped"]);
    expect(await callRunner(folder, "ps")).toMatchObject([{ instance: "product-1", state: "stopped", pid: 0 }]);
    expect(await callRunner(folder, "start", { workload: "product" })).toMatchObject({ instances: ["product-1"] });
    expect((await callRunner(folder, "ready")).workloads).toMatchObject([{ instance: "product-1" }]);
    await expect(callRunner(folder, "stop", { workload: "prodct" })).rejects.toThrow("product");
    await expect(callRunner(folder, "stop", { workload: "product", zone: "b" })).rejects.toThrow("ap-northeast-2a");
  });

  it("rolls an edited workload: the new instance is ready before the old one drains", async () => {
    await start(desiredOfParts({ workloads: [product("1")], hosts, images: [image] }));
    const from = events.length;
    await desire(desiredOfParts({ workloads: [product("2")], hosts, images: [image] }));
    await until(() => states(from).includes("product-1 stopped"));
    expect(states(from)).toEqual(["product-2 starting", "product-2 ready", "product-1 draining", "product-1 stopped"]);
    expect(events.slice(from).find(({ event }) => event === "applied")).toMatchObject({ files: ["desired.json"], proxies: 1 });
  });

  it("runs the rest where an image has no command or a program is missing, and goes on when that is mended", async () => {
    const other = desiredWorkload("other");
    const missing = { image: "product", command: ["/no/such/program"] };
    await start(desiredOfParts({ workloads: [other, product()], hosts, images: [missing] }));
    const diagnosed = () => events.findLast((event) => event.event === "diagnostics")?.diagnostics.map(({ code }) => code);
    await expect.poll(diagnosed, WAIT).toEqual(["WEFT0601", "WEFT0603"]);
    await desire(desiredOfParts({ workloads: [other, product("2")], hosts, images: [image, { ...image, image: "other" }] }));
    await until(() => states().includes("product-1 ready") || states().includes("product-2 ready"));
    await until(() => states().includes("other-1 ready"));
    await expect.poll(diagnosed, WAIT).toEqual([]);
  });

  it("answers for a stub as it is declared, without a sidecar", async () => {
    const stub = [
      { method: "POST", path: "/pay", status: 202, headers: { "x-by": "${POD_NAME}" }, body: { paid: ["${IMAGE_TAG}"] }, delay: "50ms" },
      { path: "/files/*", body: "a file" },
    ];
    const { ready } = await start(desiredOfParts({ workloads: [product("1", 2)], hosts, images: [{ image: "product", stub }] }));
    const [first] = ready.workloads;
    expect(first).toMatchObject({ url: `http://${first?.address}:8080`, sidecar: { id: "", pid: 0 }, httpProxy: "", services: {}, explain: {} });
    const startedMs = performance.now();
    const paid = await fetch(`${first?.url}/pay?twice`, { method: "POST", body: "{}" });
    expect(performance.now() - startedMs).toBeGreaterThan(45);
    expect([paid.status, paid.headers.get("x-by"), paid.headers.get("content-type"), await paid.json()]).toEqual([
      202,
      "product-1",
      "application/json",
      { paid: ["1"] },
    ]);
    expect(await (await fetch(`${first?.url}/files/a/b`)).text()).toBe("a file");
    const undeclared = await fetch(`${first?.url}/pay`);
    expect([undeclared.status, await undeclared.text()]).toEqual([404, "this is a stub, and its LocalRun declares no answer for GET /pay\n"]);
    await until(async () => (await readFile(first?.log ?? "", "utf8")) === "POST /pay?twice 202\nGET /files/a/b 200\nGET /pay 404 not declared\n");
    expect(await callRunner(folder, "ps")).toMatchObject([{ state: "ready" }, { state: "ready", sidecar: { id: "" } }]);
  });

  it("lets a program that somebody runs by hand join while its port is open, and waits for nobody", async () => {
    const program = createServer();
    const listen = (port: number): Promise<void> => new Promise((resolve) => program.listen(port, "127.0.0.1", resolve));
    await listen(0);
    const address = program.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await new Promise((resolve) => program.close(resolve));
    const attach = [{ workload: "product", attach: `127.0.0.1:${port}`, labels: { version: "v2" }, zone: "ap-northeast-2b" }];
    const { ready } = await start(desiredOfParts({ workloads: [product()], hosts, images: [image], attach }));
    const attached = ready.workloads.find(({ instance }) => instance === "product-attached");
    expect(attached).toMatchObject({ workload: "product", zone: "ap-northeast-2b", pid: 0, sidecar: { id: "product-attached.default" } });
    const state = async () => (await callRunner(folder, "ps")).find(({ instance }) => instance === "product-attached")?.state;
    expect(await state()).toBe("unready");
    await listen(port);
    await until(async () => (await state()) === "ready");
    await new Promise((resolve) => program.close(resolve));
    await until(async () => (await state()) === "unready");
    expect(await callRunner(folder, "stop", { workload: "product" })).toMatchObject({ instances: ["product-1"] });
    await desire(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    await until(async () => (await state()) === undefined);
  });

  it("says which attachment names no Deployment", async () => {
    const desired = desiredOfParts({ workloads: [product()], hosts, images: [image], attach: [{ workload: "prodct", attach: "localhost:3000" }] });
    const localRuns = desired.localRuns.map((localRun) => ({ ...localRun, attachOrigins: [{ file: "weft.yaml", line: 7, column: 3 }] }));
    await start({ ...desired, localRuns });
    const said = events.findLast((event) => event.event === "diagnostics");
    expect(said?.text).toContain("weft.yaml:7:3 WEFT0606 error attach names the workload prodct");
  });

  it("starts a killed control plane again on the same port and tells it everything", async () => {
    const { ready } = await start(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    const from = events.length;
    killNow(ready.controlPlane.pid);
    await until(() => events.slice(from).some((event) => event.event === "control-plane" && event.state === "listening"));
    const now = await callRunner(folder, "ready");
    expect(now.controlPlane).toMatchObject({ xds: ready.controlPlane.xds });
    expect(now.controlPlane.pid).not.toBe(ready.controlPlane.pid);
    await until(async () => (await callRunner(folder, "ps"))[0]?.sidecar.upToDate === true);
    expect(states(from)).toEqual([]);
  });

  it("refuses a second mesh of the same folder, and answers nobody once it has ended", async () => {
    const running = await start(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    await expect(run()).rejects.toThrow("already runs");
    await running.stop();
    await expect(callRunner(folder, "ps")).rejects.toThrow("no mesh runs");
    const { workloads, controlPlane } = running.ready;
    for (const pid of [controlPlane.pid, ...workloads.flatMap(({ pid: own, sidecar }) => [own, sidecar.pid])]) expect(isAlive(pid)).toBe(false);
    expect(events.at(-1)).toMatchObject({ event: "stopped" });
  });

  it("leaves nothing behind when it is killed, and the next one starts in its place", async () => {
    await desire(desiredOfParts({ workloads: [product()], hosts, images: [image] }));
    const runner = spawn(process.execPath, ["--import", "tsx", standIn("runner.ts"), folder, join(base, "state")], { stdio: ["ignore", "pipe", "inherit"] });
    const ready = await new Promise<Extract<RunnerEvent, { event: "ready" }>>((resolve) => {
      createInterface(runner.stdout).on("line", (line) => {
        const event: RunnerEvent = JSON.parse(line);
        if (event.event === "ready") resolve(event);
      });
    });
    runner.kill("SIGKILL");
    const pids = [ready.controlPlane.pid, ...ready.workloads.flatMap(({ pid, sidecar }) => [pid, sidecar.pid])];
    await until(() => !pids.some(isAlive));
    mesh = await run();
    expect(mesh.ready.workloads[0]?.address).toBe(ready.workloads[0]?.address);
  });

  it("can be ended before it is ready", async () => {
    const stuck = { ...image, command: [process.execPath, "-e", "setInterval(() => undefined, 1000)"] };
    await desire(desiredOfParts({ workloads: [product()], hosts, images: [stuck] }));
    const controller = new AbortController();
    const running = runMesh({
      folder,
      envoy: standIn("envoy.mjs"),
      controlPlane: standIn("control-plane.ts"),
      signal: controller.signal,
      emit: (event) => {
        events.push(event);
        if (event.event === "workload") setImmediate(() => controller.abort());
      },
    });
    await expect(running).rejects.toThrow();
    const pid = events.find((event) => event.event === "workload")?.pid ?? 0;
    expect(isAlive(pid)).toBe(false);
  });
});

/** 0 stands for "none runs", and for the system for this very test. */
function killNow(pid: number): void {
  if (pid <= 0) throw new Error("there is no process to kill");
  process.kill(pid, "SIGKILL");
}

/** Whether a process runs. One that has ended stays in the table of processes until its parent has looked. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
