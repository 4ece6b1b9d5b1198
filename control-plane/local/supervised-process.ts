// Keeps one program running: started in a process group of its own, its output in a file, started again when it ends, later each time.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, renameSync, statSync } from "node:fs";
import type { Guard } from "./guard.ts";

export interface ProcessSpec {
  readonly program: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  /** Standard output and error are appended to it. */
  readonly logPath: string;
  /** The group that it runs as; default: this process's. */
  readonly group?: number;
}

export interface ProcessEvents {
  readonly onStarted: (pid: number) => void;
  /** It ended without being asked to; it is started again after `restartMs`. */
  readonly onEnded: (reason: string, restartMs: number) => void;
  /** The program could not be started at all; it is tried again after `restartMs`. */
  readonly onFailed: (reason: string, restartMs: number) => void;
}

export interface SupervisedProcess {
  /** 0 while none runs. */
  readonly pid: () => number;
  readonly restarts: () => number;
  /** Consecutive ends within a short time of the start. */
  readonly failures: () => number;
  /** Ends it and all its children for good: asked to by SIGTERM, made to after `graceMs`. Resolves when it has ended. */
  readonly end: (graceMs: number) => Promise<void>;
}

const LARGEST_LOG_BYTES = 10 * 1024 * 1024;
/** One that ran this long has recovered: its next end counts as the first again. */
const RECOVERED_MS = 10_000;
const LONGEST_RESTART_MS = 30_000;

/** How long to wait before the next start after `failures` ends in a row (at least 1): not at all, then 0.5 s, 1 s, 2 s … 30 s. */
export function restartDelayMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(LONGEST_RESTART_MS, 500 * 2 ** (failures - 2));
}

/** Starts the program, once what it needs is `prepared`, and keeps it running until `end`. */
export function superviseProcess(spec: ProcessSpec, guard: Guard, events: ProcessEvents, prepared?: Promise<void>): SupervisedProcess {
  let pid = 0;
  let [restarts, failures, startedAtMs] = [0, 0, 0];
  let ending = false;
  let timer: NodeJS.Timeout | undefined;
  let ended: () => void = () => undefined;

  const failed = (report: ProcessEvents["onEnded"], reason: string): void => {
    failures = performance.now() - startedAtMs >= RECOVERED_MS ? 1 : failures + 1;
    const delayMs = restartDelayMs(failures);
    timer = setTimeout(start, delayMs);
    report(reason, delayMs);
  };
  const start = (): void => {
    timer = undefined;
    if (startedAtMs > 0) restarts += 1;
    startedAtMs = performance.now();
    const child = spawnLogged(spec);
    if (typeof child === "string") {
      failed(events.onFailed, child);
      return;
    }
    child.once("error", (error) => {
      if (child.pid === undefined && !ending) failed(events.onFailed, error.message);
    });
    const own = child.pid;
    if (own === undefined) return;
    pid = own;
    guard.watch(own);
    child.once("exit", (code, signal) => {
      pid = 0;
      // Its children share its group, and hold its ports.
      signalGroup(own, "SIGKILL");
      guard.release(own);
      if (ending) ended();
      else failed(events.onEnded, signal === null ? `ended with code ${code}` : `ended by ${signal}`);
    });
    events.onStarted(own);
  };

  if (prepared === undefined) start();
  else {
    prepared.then(
      () => ending || start(),
      (error: Error) => events.onFailed(error.message, LONGEST_RESTART_MS),
    );
  }
  return {
    pid: () => pid,
    restarts: () => restarts,
    failures: () => failures,
    end: async (graceMs) => {
      ending = true;
      clearTimeout(timer);
      const last = pid;
      if (last === 0) return;
      const over = new Promise<void>((resolve) => {
        const before = ended;
        ended = () => {
          before();
          resolve();
        };
      });
      signalGroup(last, "SIGTERM");
      const force = setTimeout(() => signalGroup(last, "SIGKILL"), graceMs);
      await over;
      clearTimeout(force);
    },
  };
}

/** The process, or why there can be none: a name or an environment that no system takes, a log that cannot be written. */
function spawnLogged(spec: ProcessSpec): ChildProcess | string {
  try {
    const log = openLog(spec.logPath);
    try {
      return spawn(spec.program, spec.args, {
        cwd: spec.directory,
        env: spec.env,
        detached: true,
        stdio: ["ignore", log, log],
        ...(spec.group === undefined ? {} : { gid: spec.group }),
      });
    } finally {
      closeSync(log);
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Sends a signal to all processes of a group; one that is gone already has no need of it. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: the group is empty.
  }
}

/** Opens a log to append to; one that has grown too large becomes `….1` first. */
export function openLog(path: string): number {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LARGEST_LOG_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, "a", 0o600);
}
