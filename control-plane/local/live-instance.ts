// One instance while it lives: the application and the sidecar beside it, from the start to an end that loses no request.

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { ListenAddress, Proxy } from "../mesh/instance.ts";
import type { InstanceState } from "./api.ts";
import { type EnvoyContext, type EnvoyProcess, startEnvoy } from "./envoy-process.ts";
import type { RunnerEvent, WorkloadEventState } from "./events.ts";
import { lastLineOf, logSizeBytes } from "./last-line.ts";
import type { InstanceIdentity, InstancePlaces, LogPaths } from "./layout.ts";
import { type Probe, probeFrom, type ReadinessWatch, watchReadiness } from "./readiness.ts";
import { type ProcessEvents, type ProcessSpec, superviseProcess } from "./supervised-process.ts";

export interface LiveInstanceOptions {
  readonly identity: InstanceIdentity;
  readonly places: InstancePlaces;
  readonly logs: LogPaths;
  readonly application: Omit<ProcessSpec, "logPath">;
  readonly probe: Probe;
  /** The sidecar as it is when it starts; later changes reach it through the control plane. None beside a stub. */
  readonly proxy: Proxy | undefined;
  readonly envoy: EnvoyContext;
  /** Where its processes run; default: beside this one. */
  readonly place?: InstancePlace;
  /** Anything that {@link LiveInstance} answers has changed. */
  readonly changed: () => void;
  /** Why the program cannot be started; undefined when it could be after all. */
  readonly onProgram: (problem: string | undefined) => void;
  /** Tells the mesh what runs now and resolves when that is in force in every proxy, or false when it takes too long. */
  readonly inForce: () => Promise<boolean>;
}

/** A place of an instance's own, and how its processes are started there. */
export interface InstancePlace {
  /** Resolves when it is there. */
  readonly prepared: Promise<void>;
  readonly application: (spec: Omit<ProcessSpec, "logPath">) => Omit<ProcessSpec, "logPath">;
  readonly proxy: (spec: ProcessSpec) => ProcessSpec;
  /** The control plane as it is reached from there; default: as from here. */
  readonly xds?: () => ListenAddress;
  /** Whence the program is asked whether it is ready. */
  readonly probeFrom?: string;
  /** The network namespace, where it is one. */
  readonly namespace?: string;
  /** Takes it away, once nothing runs in it. */
  readonly leave: () => Promise<void>;
}

export interface LiveInstance {
  readonly identity: InstanceIdentity;
  readonly places: InstancePlaces;
  readonly logs: LogPaths;
  /** Empty for a stub, which has none. */
  readonly proxyId: string;
  readonly networkNamespace?: string | undefined;
  readonly state: () => InstanceState;
  /** To be given requests. */
  readonly ready: () => boolean;
  /** It has crashed again and again, or was not ready for a long time: nobody is to wait for it. */
  readonly failing: () => boolean;
  /** The sidecar serves traffic, so that what it holds matters. */
  readonly proxyServes: () => boolean;
  readonly pids: () => { readonly application: number; readonly envoy: number };
  readonly restarts: () => number;
  readonly sidecarStartedInMs: () => number | undefined;
  /** Withdraws it, waits for requests under way, ends it. */
  readonly retire: () => Promise<void>;
  readonly endApplication: () => Promise<void>;
  readonly endSidecar: () => Promise<void>;
}

const FAILURES_TO_GIVE_UP_WAITING = 3;
const PATIENCE_MS = 60_000;
/** A program that is not ready by then may listen elsewhere: it is said where it is looked for. */
const EXPECTED_READY_MS = 8_000;
/** Requests that an outbound sidecar has picked an endpoint for just before it learned better are still on their way. */
const SHORTEST_DRAIN_MS = 300;
const DRAIN_POLL_MS = 50;
const DEFAULT_GRACE_SECONDS = 30;
/** When everything ends, nobody waits for long. */
const SHUTDOWN_GRACE_MS = 3_000;

/** In the place of the sidecar where there is none. */
const NO_SIDECAR: EnvoyProcess = { pid: () => 0, ready: () => true, startedInMs: () => undefined, activeRequests: async () => 0, end: async () => undefined };

/** Starts application and sidecar side by side. */
export function startInstance(options: LiveInstanceOptions): LiveInstance {
  const { identity, places, logs, changed, place } = options;
  const { name, workload, locality } = identity;
  const startedAtMs = performance.now();
  const graceMs = (workload.spec.template.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1_000;
  let phase: "running" | "retiring" = "running";
  let application: "starting" | "ready" | "unready" | "crashed" = "starting";
  let saidReady = false;
  let watch: ReadinessWatch | undefined;
  let logOffsetBytes = 0;
  let late: NodeJS.Timeout | undefined;

  const say = (state: WorkloadEventState, text: string, pid?: number): void => {
    const place = { workload: workload.name, namespace: workload.namespace, instance: name, zone: locality.zone };
    const event: RunnerEvent = { event: "workload", ...place, state, ...(pid === undefined ? {} : { pid }), text: `${name} ${text}` };
    options.envoy.emit(event);
  };
  const update = (): void => {
    const ready = application === "ready" && sidecar.ready();
    if (phase === "running" && ready && !saidReady) say("ready", "is ready", supervised.pid());
    saidReady = ready;
    changed();
  };

  const sidecar = options.proxy === undefined ? NO_SIDECAR : startEnvoy(options.proxy, places.admin, logs.envoy, options.envoy, () => update(), place);
  const program = place === undefined ? options.application : place.application(options.application);
  const events: ProcessEvents = {
    onStarted: (pid) => {
      application = "starting";
      logOffsetBytes = logSizeBytes(logs.application);
      options.onProgram(undefined);
      say("starting", locality.zone === "" ? "starts" : `starts in ${locality.zone}`, pid);
      watch = watchReadiness(probeFrom(options.probe, place?.probeFrom), (ready) => {
        if (!ready && phase === "running")
          options.envoy.emit({ event: "progress", text: `${name} is no longer ready: it is given no requests until it is again` });
        application = ready ? "ready" : "unready";
        update();
      });
      clearTimeout(late);
      late = setTimeout(() => {
        if (phase === "running" && application === "starting") options.envoy.emit({ event: "progress", text: `${name} ${notReadyText(options.probe)}` });
      }, EXPECTED_READY_MS);
    },
    onEnded: (reason, restartMs) => {
      watch?.close();
      clearTimeout(late);
      application = "crashed";
      const said = lastLineOf(logs.application, logOffsetBytes);
      const again = `it is started again${restartMs === 0 ? "" : ` in ${restartMs / 1_000} s`}`;
      say("crashed", `${reason}${said === undefined ? "" : `, and said last: ${said}`}; ${again}, its log is ${logs.application}`);
      update();
    },
    onFailed: (reason, restartMs) => {
      application = "crashed";
      const { directory, program } = options.application;
      options.onProgram(existsSync(directory) ? `the program ${program} cannot be started (${reason})` : `the directory ${directory} does not exist`);
      if (restartMs === 0) say("crashed", `cannot be started: ${reason}`);
      update();
    },
  };
  const supervised = superviseProcess({ ...program, logPath: logs.application }, options.envoy.guard, events, place?.prepared);

  const drain = async (): Promise<void> => {
    const endMs = performance.now() + graceMs;
    await sleep(SHORTEST_DRAIN_MS);
    while (performance.now() < endMs && supervised.pid() !== 0 && ((await sidecar.activeRequests()) ?? 0) > 0) await sleep(DRAIN_POLL_MS);
  };
  const endApplication = async (withinMs: number): Promise<void> => {
    watch?.close();
    clearTimeout(late);
    await supervised.end(withinMs);
  };

  return {
    identity,
    places,
    logs,
    proxyId: options.proxy?.id ?? "",
    networkNamespace: place?.namespace,
    state: () => (phase === "retiring" ? "draining" : application === "ready" && !sidecar.ready() ? "starting" : application),
    ready: () => phase === "running" && application === "ready" && sidecar.ready(),
    failing: () => supervised.failures() >= FAILURES_TO_GIVE_UP_WAITING || performance.now() - startedAtMs > PATIENCE_MS,
    proxyServes: () => options.proxy !== undefined && sidecar.ready(),
    pids: () => ({ application: supervised.pid(), envoy: sidecar.pid() }),
    restarts: supervised.restarts,
    sidecarStartedInMs: sidecar.startedInMs,
    retire: async () => {
      phase = "retiring";
      say("draining", "is given no more requests");
      if (!(await options.inForce()))
        options.envoy.emit({ event: "progress", text: `not every proxy has confirmed that ${name} is withdrawn; it ends all the same` });
      await drain();
      await endApplication(graceMs);
      await sidecar.end();
      await place?.leave();
      say("stopped", "has ended");
    },
    endApplication: () => endApplication(SHUTDOWN_GRACE_MS),
    endSidecar: sidecar.end,
  };
}

/** What a program that runs has not done yet to be ready. */
function notReadyText(probe: Probe): string {
  if (probe.kind === "none") return "runs, but is not ready yet";
  const { address, port } = probe.target;
  if (probe.kind === "http") return `runs, but ${probe.tls ? "https" : "http"}://${address}:${port}${probe.path} does not answer yet (its readiness probe)`;
  return `runs, but nothing listens on ${address}:${port} yet. Fix: have it listen on \${POD_IP} and \${PORT}, which its environment holds too`;
}
