// The two processes of a measurement: the real control plane, and the proxies. Started, spoken to, and read from /proc.
import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundled } from "../../../control-plane/local/bundle.ts";
import { controlPlaneArgv, controlPlaneEnvironment } from "../../../control-plane/local/control-plane-process.ts";
import type { ControlPlaneMessage, ProxyState, RunnerMessage } from "../../../control-plane/local/protocol.ts";
import type { ClientSecurity, ClientsCommand, ClientsReport } from "./clients.ts";

export interface MeasuredControlPlane {
  readonly xdsPort: number;
  readonly pid: number;
  readonly run: (message: RunnerMessage) => void;
  /** CPU since the process began, in seconds. */
  readonly cpuSeconds: () => Promise<number>;
  /** Resident memory in MB, now and at its highest. */
  readonly memory: () => Promise<{ readonly now: number; readonly peak: number }>;
  /** Resolves when so many proxies are connected and have ACKed all that was published; `connected` 0: when none is connected any more. */
  readonly settled: (connected: number) => Promise<void>;
  /** Resolves at the next snapshot that answers this message. */
  readonly published: (sequence: number) => Promise<void>;
  readonly end: () => Promise<void>;
}

const CONTROL_PLANE = fileURLToPath(new URL("../../../control-plane/main.ts", import.meta.url));
const CLIENTS = fileURLToPath(new URL("clients.ts", import.meta.url));
const TICKS_PER_SECOND = 100;
const SETTLE_MS = 120_000;

/** Starts the control plane on a folder, as `weft up` does; `profile`: a folder for a CPU profile of its whole life. */
export async function startControlPlane(folder: string, stateFolder: string, profile?: string): Promise<MeasuredControlPlane> {
  const module = (await bundled(CONTROL_PLANE)) ?? CONTROL_PLANE;
  const execArgv = [...controlPlaneArgv(module), ...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`])];
  const args = [
    "--folder",
    folder,
    "--last-good",
    join(stateFolder, "last-good.json"),
    "--plaintext",
    "--log",
    join(stateFolder, "control-plane.log"),
    "--plaintext",
  ];
  const child = fork(module, args, { execArgv, env: controlPlaneEnvironment(process.env), stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const pid = child.pid ?? 0;
  const listeners = new Set<(message: ControlPlaneMessage) => void>();
  let [proxies, revision]: [readonly ProxyState[], number] = [[], 0];
  child.on("message", (message: ControlPlaneMessage) => {
    if (message.kind === "proxies") proxies = message.proxies;
    if (message.kind === "published") revision = message.revision;
    for (const listener of [...listeners]) listener(message);
  });
  const next = <Value>(accept: (message: ControlPlaneMessage) => Value | undefined): Promise<Value> =>
    new Promise((resolve, reject) => {
      const listener = (message: ControlPlaneMessage): void => {
        const value = accept(message);
        if (value === undefined) return;
        listeners.delete(listener);
        resolve(value);
      };
      listeners.add(listener);
      child.once("exit", (code) => reject(new Error(`the control plane ended with ${code}`)));
    });
  const xdsPort = await next((message) => (message.kind === "listening" ? message.xdsPort : undefined));
  return {
    xdsPort,
    pid,
    run: (message) => child.send(message),
    cpuSeconds: () => cpuSeconds(pid),
    memory: () => memory(pid),
    settled: async (connected) => {
      const open = () => proxies.filter((proxy) => proxy.connected);
      const reached = () => open().length === connected && open().every(({ ackedRevision }) => ackedRevision >= revision);
      for (const endMs = Date.now() + SETTLE_MS; !reached(); ) {
        if (Date.now() > endMs) throw new Error(`${open().length} proxies are connected, and not ${connected}, or they are not up to date`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    published: (sequence) => next((message) => (message.kind === "published" && message.sequence >= sequence ? true : undefined)).then(() => undefined),
    end: () => ended(child),
  };
}

export interface Clients {
  readonly open: (port: number, proxies: readonly string[], security?: ClientSecurity) => void;
  readonly close: () => void;
  readonly report: (options: { readonly quietMs: number; readonly atLeast: number; readonly timeoutMs?: number }) => Promise<ClientsReport>;
  readonly end: () => Promise<void>;
}

/** Starts the process of the proxies. */
export function startClients(): Clients {
  const child = fork(CLIENTS, [], { execArgv: ["--import", import.meta.resolve("tsx")], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const send = (command: ClientsCommand): void => {
    child.send(command);
  };
  return {
    open: (port, proxies, security) => send({ kind: "open", port, proxies, ...(security === undefined ? {} : { security }) }),
    close: () => send({ kind: "close" }),
    report: ({ quietMs, atLeast, timeoutMs = 120_000 }) =>
      new Promise((resolve, reject) => {
        child.once("message", (report: ClientsReport) => resolve(report));
        child.once("exit", () => reject(new Error("the clients ended")));
        send({ kind: "report", quietMs, atLeast, timeoutMs });
      }),
    end: () => ended(child),
  };
}

/** CPU of a process since it began, in seconds. Linux only. */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident megabytes. Linux only. */
export async function memory(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const megabytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? Number.NaN) / 1_024;
  return { now: megabytes("VmRSS"), peak: megabytes("VmHWM") };
}

/** Ends a process and waits until it has. */
export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
