// The control plane as a child process: started, started again on the same port when it ends, spoken to over IPC.
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { identityFolderOf } from "../ca/paths.ts";
import type { ControlPlaneMessage, RunnerMessage } from "./protocol.ts";
import { openLog, restartDelayMs } from "./supervised-process.ts";

export interface ControlPlaneOptions {
  /** Absolute path of the folder of YAML. */
  readonly folder: string;
  readonly stateFolder: string;
  readonly logPath: string;
  /** The module to run. Default: the control plane; tests put a smaller one in its place. */
  readonly module?: string;
  readonly onMessage: (message: ControlPlaneMessage) => void;
  readonly onEnded: (reason: string) => void;
  /** It ended several times without ever listening: `reason` is what it said last. */
  readonly onHopeless: (reason: string) => void;
}

export interface ControlPlaneProcess {
  readonly pid: () => number;
  /** Says nothing to nobody: on the next connection everything is said again. */
  readonly send: (message: RunnerMessage) => void;
  readonly end: () => Promise<void>;
}

/** The control plane's own module. */
export const CONTROL_PLANE = fileURLToPath(new URL("../main.ts", import.meta.url));
const TRIES = 3;
const RECOVERED_MS = 10_000;
/** It is what every change waits for, so it is never left alone for long. */
const LONGEST_RESTART_MS = 5_000;
const END_GRACE_MS = 3_000;

/** Node's own arguments for a module of the control plane. */
export function controlPlaneArgv(module: string): readonly string[] {
  return module.endsWith(".ts") ? ["--import", import.meta.resolve("tsx")] : ["--enable-source-maps"];
}

/**
 * The responses of a first sync come and go by the hundred megabytes. With this limit glibc gives back to the system what is freed of them, instead of raising
 * the limit to their size; elsewhere it means nothing.
 */
export function controlPlaneEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "65536", ...environment };
}

/** Forks the control plane. TypeScript is read through tsx, found from here, whatever the working directory; a bundle needs no translation. */
export function startControlPlaneProcess(options: ControlPlaneOptions): ControlPlaneProcess {
  let child: ChildProcess | undefined;
  let [xdsPort, failures, startedAtMs] = [0, 0, 0];
  let ending = false;
  let timer: NodeJS.Timeout | undefined;

  const start = (): void => {
    startedAtMs = performance.now();
    const log = openLog(options.logPath);
    const args = [
      "--folder",
      options.folder,
      "--last-good",
      join(options.stateFolder, "last-good.json"),
      "--xds-port",
      String(xdsPort),
      "--identity",
      identityFolderOf(options.stateFolder),
      "--log",
      options.logPath,
    ];
    // In a group of its own: what ends the runner's group must not end it before the proxies. It ends when its channel closes, however the runner ended.
    const module = options.module ?? CONTROL_PLANE;
    const own = fork(module, args, {
      execArgv: [...controlPlaneArgv(module)],
      env: controlPlaneEnvironment(process.env),
      stdio: ["ignore", log, log, "ipc"],
      detached: true,
    });
    closeSync(log);
    child = own;
    own.on("message", (message: ControlPlaneMessage) => {
      if (message.kind === "listening") xdsPort = message.xdsPort;
      options.onMessage(message);
    });
    // A message to a child that has just died is lost, as is the child: the next one is told everything.
    own.on("error", () => undefined);
    own.once("exit", (code, signal) => {
      child = undefined;
      if (ending) return;
      failures = performance.now() - startedAtMs >= RECOVERED_MS ? 1 : failures + 1;
      options.onEnded(signal === null ? `ended with code ${code}` : `ended by ${signal}`);
      if (xdsPort === 0 && failures >= TRIES) options.onHopeless(lastLines(options.logPath));
      else timer = setTimeout(start, Math.min(LONGEST_RESTART_MS, restartDelayMs(failures)));
    });
  };

  start();
  return {
    pid: () => child?.pid ?? 0,
    send: (message) => {
      if (child?.connected === true) child.send(message, () => undefined);
    },
    end: async () => {
      ending = true;
      clearTimeout(timer);
      const last = child;
      if (last === undefined) return;
      const exited = new Promise((resolve) => last.once("exit", resolve));
      last.kill("SIGTERM");
      const force = setTimeout(() => last.kill("SIGKILL"), END_GRACE_MS);
      await exited;
      clearTimeout(force);
    },
  };
}

function lastLines(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-15).join("\n");
}
