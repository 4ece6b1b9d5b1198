// `weft up`: from a folder to a running mesh. Starts the control plane, applications and Envoys, and keeps them as the folder asks.
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { ensureEnvoy } from "../../envoy/install.ts";
import { STATS_FLUSH_INTERVAL_MS } from "../../envoy/metrics-sink.ts";
import { firstAuthority } from "../ca/first-authority.ts";
import { identityFolderOf } from "../ca/paths.ts";
import { compareDiagnostics, type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import { createAcknowledgements, type Publication } from "./acknowledgements.ts";
import { psRows, startSelected, stopSelected } from "./answers.ts";
import type { ReadyAnswer } from "./api.ts";
import { refuseSecondMesh, startApiServer } from "./api-server.ts";
import { bundled } from "./bundle.ts";
import { createCertificateQuestions } from "./certificate-questions.ts";
import { createChanges } from "./changes.ts";
import { isClaimed } from "./claims.ts";
import { CONTROL_PLANE, type ControlPlaneProcess, startControlPlaneProcess } from "./control-plane-process.ts";
import type { ReadyEvent, RunnerEvent } from "./events.ts";
import { createFleet } from "./fleet.ts";
import { awaitFormerGuard, startGuard } from "./guard.ts";
import { createIsolation, type Isolation } from "./isolation/isolation.ts";
import { type ClaimedPlaces, claimPlaces } from "./places.ts";
import { createPrometheusFiles } from "./prometheus-files.ts";
import type { ControlPlaneMessage } from "./protocol.ts";
import { createProxyTokens } from "./proxy-tokens.ts";
import { logFolderOf, prepareStateFolder, socketPathOf, stateFolderOf } from "./state-folder.ts";
import { createTurns } from "./turns.ts";

export interface RunOptions {
  readonly folder: string;
  /** Default: {@link stateFolderOf} the folder. */
  readonly stateFolder?: string;
  /** Everything that the mesh has to say. */
  readonly emit: (event: RunnerEvent) => void;
  /** Where the first port of the gateways is bound; 0: each where the system likes. Default: 8080 for port 80 and so on. */
  readonly gatewayPort?: number;
  /** Aborting it ends the mesh, also before it is ready. */
  readonly signal?: AbortSignal;
  /** The Envoy binary. Default: found or fetched. */
  readonly envoy?: string;
  /** Proxies send chosen statistics to the control plane this often. Default: once a second, so that it soon hears of a filter that died. */
  readonly metricsEveryMs?: number;
  /** Every instance in a network namespace of its own, its connections redirected to its sidecar: Linux, as root. */
  readonly isolate?: boolean;
  /** The control plane's module. Default: the control plane; tests put a smaller one in its place. */
  readonly controlPlane?: string;
}

export interface RunningMesh {
  /** As it was emitted; `GET /ready` is live. */
  readonly ready: ReadyEvent;
  /** Ends all processes in order. */
  readonly stop: (reason?: string) => Promise<void>;
  /** Resolves once everything has ended. */
  readonly finished: Promise<void>;
}

/** Two cores start about this many Envoys in the time that they take one by one. */
const ENVOYS_AT_ONCE = 4;
/** A withdrawal that is not confirmed in this time is not waited for any longer. */
const IN_FORCE_MS = 20_000;
const APPLIED_MS = 120_000;
const STILL_WAITING_MS = 10_000;

/**
 * Runs the mesh of a folder and resolves when all of it is ready. Rejects with what is wrong and what to do, everything that it started ended, when the mesh
 * cannot run at all: no such folder, a mesh runs for it already, no Envoy, no addresses, the control plane does not start, or `signal` was aborted.
 */
export async function runMesh(options: RunOptions): Promise<RunningMesh> {
  const startedMs = performance.now();
  const folder = await realpath(options.folder).catch(() => {
    throw new Error(`there is no folder ${options.folder}. Fix: name a folder of YAML files`);
  });
  const stateFolder = options.stateFolder ?? (await stateFolderOf(folder));
  await prepareStateFolder(stateFolder);
  const cleanUp: (() => Promise<void> | void)[] = [];
  let stopping: Promise<void> | undefined;
  let ended: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const stop = (reason = "the mesh has ended"): Promise<void> => {
    stopping ??= (async () => {
      for (const undo of cleanUp.reverse()) {
        try {
          await undo();
        } catch (error) {
          // The rest is to end all the same.
          options.emit({ event: "progress", text: `while ending: ${error instanceof Error ? error.message : error}` });
        }
      }
      options.emit({ event: "stopped", text: reason });
      ended();
    })();
    return stopping;
  };
  try {
    const ready = await startMesh({ ...options, folder, stateFolder }, startedMs, cleanUp);
    options.signal?.addEventListener("abort", () => void stop());
    if (options.signal?.aborted) void stop();
    return { ready, stop, finished };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each thing that is started leaves in `cleanUp` how it ends; they end in reverse order. */
async function startMesh(
  options: RunOptions & { readonly stateFolder: string },
  startedMs: number,
  cleanUp: (() => Promise<void> | void)[],
): Promise<ReadyEvent> {
  const { folder, stateFolder, emit } = options;
  const logFolder = logFolderOf(stateFolder);
  const controlPlaneLog = join(logFolder, "control-plane.log");
  const changes = createChanges();
  let [sequence, sentSequence, adminPort, xdsPort] = [0, 0, 0, 0];
  let controlPlane: ControlPlaneProcess | undefined;
  let desiredSeen = false;
  let fault: Error | undefined;
  const diagnostics = { controlPlane: [] as readonly Diagnostic[], local: [] as readonly Diagnostic[], said: "[]" };

  const acknowledgements = createAcknowledgements(() => fleet.serving());
  const tellRunning = (): void => {
    sequence += 1;
    controlPlane?.send({ kind: "running", sequence, ...fleet.running() });
    sentSequence = sequence;
  };
  /** Many changes of one moment are one message. */
  let told = true;
  const changed = (): void => {
    acknowledgements.onLive();
    changes.notify();
    if (!told) return;
    told = false;
    setImmediate(() => {
      told = true;
      if (xdsPort === 0) return;
      tellRunning();
      prometheus.update();
    });
  };
  const inForce = (timeoutMs = IN_FORCE_MS): Promise<boolean> => {
    tellRunning();
    return acknowledgements.inForce(sentSequence, timeoutMs);
  };
  const sayDiagnostics = (): void => {
    const all = [...diagnostics.controlPlane, ...diagnostics.local].sort(compareDiagnostics);
    const text = JSON.stringify(all);
    if (text === diagnostics.said) return;
    diagnostics.said = text;
    emit({ event: "diagnostics", diagnostics: all, text: all.length === 0 ? "no problem is left" : all.map(formatDiagnostic).join("\n") });
  };
  const describe = (): ReadyAnswer => ({
    folder,
    stateFolder,
    logs: logFolder,
    ...fleet.ready(),
    controlPlane: { pid: controlPlane?.pid() ?? 0, xds: `http://127.0.0.1:${xdsPort}`, admin: `http://127.0.0.1:${adminPort}`, log: controlPlaneLog },
    elapsedMs: Math.round(performance.now() - startedMs),
  });
  const prometheus = createPrometheusFiles(stateFolder, describe, ({ message }) =>
    emit({ event: "progress", text: `the targets of Prometheus cannot be written: ${message}` }),
  );
  const certificates = createCertificateQuestions();
  const applied = async (publication: Publication): Promise<void> => {
    const { revision, files, proxies, changedAtMs } = publication;
    if (!(await acknowledgements.acknowledged(publication, APPLIED_MS))) return;
    const elapsedMs = Math.max(0, Math.round(Date.now() - changedAtMs));
    emit({
      event: "applied",
      revision,
      files,
      proxies: proxies.length,
      elapsedMs,
      text: `${files.join(", ")} in force in ${proxies.length} proxies after ${elapsedMs} ms`,
    });
  };
  const onMessage = (message: ControlPlaneMessage): void => {
    switch (message.kind) {
      case "listening": {
        [xdsPort, adminPort] = [message.xdsPort, message.adminPort];
        const pid = controlPlane?.pid() ?? 0;
        emit({ event: "control-plane", state: "listening", pid, adminPort, text: `the control plane listens (process ${pid}, port ${xdsPort})` });
        changed();
        return;
      }
      case "desired":
        if (!desiredSeen) emit({ event: "progress", text: startingText(message.desired) });
        desiredSeen = true;
        fleet.setDesired(message.desired);
        return;
      case "diagnostics":
        diagnostics.controlPlane = message.diagnostics;
        sayDiagnostics();
        return;
      case "published":
        acknowledgements.onPublished(message);
        if (message.files.length > 0) void applied(message);
        return;
      case "certificates":
        certificates.onAnswer(message);
        return;
      case "proxies":
        acknowledgements.onProxies(message.proxies);
        changes.notify();
        return;
    }
  };

  // Made while the rest is prepared.
  const module = options.controlPlane === undefined ? bundled(CONTROL_PLANE).then((path) => path ?? CONTROL_PLANE) : Promise.resolve(options.controlPlane);
  const socketPath = await socketPathOf(stateFolder);
  await refuseSecondMesh(socketPath, folder);
  const guardPath = join(stateFolder, "guard.pid");
  await awaitFormerGuard(guardPath);
  const guard = startGuard(guardPath);
  cleanUp.push(guard.close);
  const places = await claimPlaces(folder, process.env.WEFT_ADDRESSES === "ports");
  cleanUp.push(places.release);
  const { addresses } = places;
  const envoy = options.envoy ?? (await ensureEnvoy({ onProgress: (text) => emit({ event: "progress", text }) }));
  options.signal?.throwIfAborted();

  const { metricsEveryMs = STATS_FLUSH_INTERVAL_MS, gatewayPort } = options;
  const tokens = createProxyTokens(identityFolderOf(stateFolder), (text) => emit({ event: "progress", text }));
  cleanUp.push(tokens.close);
  const isolation = options.isolate ? await isolate(places) : undefined;
  if (isolation !== undefined) cleanUp.push(isolation.close);
  const fleet = createFleet({
    addresses,
    ...(isolation === undefined ? {} : { isolation }),
    envoy: {
      envoy,
      xds: () => ({ address: "127.0.0.1", port: xdsPort }),
      stateFolder,
      tokens,
      guard,
      emit,
      turn: createTurns(ENVOYS_AT_ONCE),
      metricsEveryMs,
    },
    logFolder,
    ...(gatewayPort === undefined ? {} : { gatewayPort }),
    changed,
    onDiagnostics: (found) => {
      diagnostics.local = found;
      sayDiagnostics();
    },
    inForce,
  });
  const api = await startApiServer(socketPath, folder, {
    ps: async () => psRows(fleet, acknowledgements.stateOf),
    ready: async () => describe(),
    stop: (selection) => stopSelected(fleet, selection),
    certificates: async ({ rotate }) => certificates.ask(controlPlane, rotate),
    start: async (selection) => {
      const answer = await startSelected(fleet, selection, changes.until);
      await inForce();
      return answer;
    },
  });
  cleanUp.push(api.close);
  // Patience runs out without anything happening.
  const clock = setInterval(changes.notify, STILL_WAITING_MS);
  cleanUp.push(() => clearInterval(clock));
  emit({ event: "progress", text: "starting the control plane" });
  // The first root is made while the control plane is still being loaded; should it fail, the control plane makes one, or says why not.
  if (!process.env.WEFT_CA) firstAuthority(identityFolderOf(stateFolder), Date.now()).catch(() => undefined);
  controlPlane = startControlPlaneProcess({
    folder,
    stateFolder,
    logPath: controlPlaneLog,
    module: await module,
    onMessage,
    onEnded: (reason) => {
      acknowledgements.onEnded();
      certificates.onEnded();
      emit({ event: "control-plane", state: "ended", text: `the control plane ${reason}; it is started again, and traffic goes on meanwhile` });
    },
    onHopeless: (reason) => {
      fault = new Error(`the control plane does not start; its log is ${controlPlaneLog} and ends with\n${reason}`);
      changes.notify();
    },
  });
  cleanUp.push(controlPlane.end, fleet.end);
  return untilReady();

  /** Rejects where this machine cannot do it. */
  async function isolate({ network }: ClaimedPlaces): Promise<Isolation> {
    if (network === undefined) throw new Error("--isolate needs loopback addresses of the mesh's own. Fix: leave WEFT_ADDRESSES unset, or --isolate out");
    return createIsolation({
      network,
      isClaimed,
      addresses,
      xdsPort: () => xdsPort,
      onError: (error) => emit({ event: "progress", text: `the names of services cannot be written: ${error.message}` }),
    });
  }

  /** Waits until all of it is ready and in force. */
  async function untilReady(): Promise<ReadyEvent> {
    const abort = (): void => changes.notify();
    options.signal?.addEventListener("abort", abort);
    const reminder = setInterval(() => emit({ event: "progress", text: waitingText() }), STILL_WAITING_MS);
    try {
      do {
        await changes.until(() => fault !== undefined || options.signal?.aborted === true || (desiredSeen && fleet.isSettled()));
        if (fault !== undefined) throw fault;
        options.signal?.throwIfAborted();
      } while (!(await inForce(STILL_WAITING_MS)) || !fleet.isSettled());
    } finally {
      clearInterval(reminder);
      options.signal?.removeEventListener("abort", abort);
    }
    const ready: ReadyEvent = { event: "ready", ...describe() };
    emit(ready);
    return ready;
  }

  function waitingText(): string {
    const waiting = [
      ...fleet
        .instances()
        .flatMap((instance) => (instance.ready() ? [] : [`${instance.identity.name} (${instance.state()}, log ${instance.logs.application})`])),
      ...fleet.gateways().flatMap((gateway) => (gateway.ready() ? [] : [`the gateway ${gateway.identity.name}`])),
    ];
    if (!desiredSeen) return `still waiting for the control plane; its log is ${controlPlaneLog}`;
    return waiting.length > 0 ? `still waiting for ${waiting.join(", ")}` : "still waiting for the proxies to confirm their configuration";
  }
}

function startingText({ workloads, gateways }: Extract<ControlPlaneMessage, { kind: "desired" }>["desired"]): string {
  const instances = workloads.reduce((sum, { spec }) => sum + spec.replicas, 0);
  const proxies = `${instances} ${instances === 1 ? "sidecar" : "sidecars"}`;
  const ingress = gateways.length === 0 ? "" : ` and ${gateways.length} ${gateways.length === 1 ? "gateway" : "gateways"}`;
  return `starting ${workloads.length} ${workloads.length === 1 ? "workload" : "workloads"} with ${proxies}${ingress}`;
}
