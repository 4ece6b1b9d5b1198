// One pod from its first container to its last: init containers in order, sidecars that go on, probes, restarts, status, and an end in Kubernetes' order.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runTool } from "../../../control-plane/local/isolation/commands.ts";
import type { IsolatedNetwork } from "../../../control-plane/local/isolation/network.ts";
import { type IsolatedMesh, instanceAddress, machineAddress, namespaceName } from "../../../control-plane/local/isolation/plan.ts";
import { type Api, ApiError } from "../api.ts";
import { type RunningContainer, startContainer } from "./container.ts";
import type { Container, Image, Pod } from "./objects.ts";
import { act, watchProbe } from "./probe.ts";
import { environmentOf, removeFolder, type VolumeState, writeVolume } from "./volumes.ts";

export interface PodPlace {
  readonly api: Api;
  readonly apiUrl: URL;
  readonly network: IsolatedNetwork;
  readonly mesh: IsolatedMesh;
  /** Throws for an image that there is no program for. */
  readonly images: (image: string) => Image;
  /** Holds the pods' files, and their logs in `logs/<namespace>_<pod>_<container>.log`. */
  readonly folder: string;
  /** How often the files of volumes are looked after. */
  readonly renewMs: number;
  /** When a token is replaced by the next. Default: at four fifths of its life, as a kubelet does. */
  readonly tokenMs?: number;
}

export interface RunningPod {
  /** To a container's processes; nothing where it does not run. */
  readonly signal: (container: string, signal: NodeJS.Signals) => void;
  /** Whether a container's readiness counts: without it, the container is not ready whatever its probe says. */
  readonly setReady: (container: string, counts: boolean) => void;
  /** Ends the pod as its deletion says, then removes the object. */
  readonly terminate: (graceSeconds: number) => Promise<void>;
  /** Ends everything at once and says nothing to the API server: the node is gone, or the object is. */
  readonly vanish: () => Promise<void>;
}

interface Slot {
  readonly container: Container;
  readonly isSidecar: boolean;
  running?: RunningContainer;
  probing: AbortController;
  started: boolean;
  ready: boolean;
  readinessCounts: boolean;
  restarts: number;
  startedAt: string;
  exitCode?: number;
  waiting: string;
}

const RESTART_MS = 1_000;
const RETRY_MS = 300;

/** Starts a pod that is bound to a node. `index` is its number in the network. */
export function startPod(place: PodPlace, bound: Pod, index: number): RunningPod {
  const { api, mesh, network } = place;
  const { name, namespace, uid } = bound.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const netns = `${name}.${namespace}`;
  const podIP = instanceAddress(mesh, index);
  const pod: Pod = { ...bound, status: { ...bound.status, podIP } };
  const folder = join(place.folder, "pods", uid);
  const inits = (pod.spec.initContainers ?? []).map((container) => createSlot(container, container.restartPolicy === "Always"));
  const mains = pod.spec.containers.map((container) => createSlot(container, false));
  const slots = [...inits, ...mains];
  const startTime = now();
  const transitions = new Map<string, { status: string; at: string }>();
  const volumes = new Map<string, VolumeState>();
  let [initialized, terminating, gone] = [false, false, false];

  const retry = async (attempt: () => Promise<unknown>, slot?: Slot): Promise<void> => {
    while (!gone) {
      const problem = await attempt().catch((error: Error) => error);
      if (!(problem instanceof Error) || (problem instanceof ApiError && problem.status === 404 && slot === undefined)) return;
      if (slot !== undefined) report(slot, { waiting: problem.message });
      await sleep(RETRY_MS);
    }
  };

  let [stale, publishing] = [false, false];
  /** One request at a time, with what holds when it is sent. */
  const publish = async (): Promise<void> => {
    stale = true;
    if (publishing) return;
    publishing = true;
    while (stale && !gone) {
      stale = false;
      await retry(() => api.patch(`${path}/status`, { metadata: { uid }, status: statusNow() }, "strategic-merge"));
    }
    publishing = false;
  };
  const report = (slot: Slot, change: Partial<Slot>): void => {
    Object.assign(slot, change);
    void publish();
  };
  const condition = (type: string, holds: boolean) => {
    const status = holds ? "True" : "False";
    if (transitions.get(type)?.status !== status) transitions.set(type, { status, at: now() });
    return { type, status, lastTransitionTime: transitions.get(type)?.at };
  };
  const statusNow = () => {
    const ready = initialized && slots.every((slot) => (slot.ready && slot.readinessCounts) || (inits.includes(slot) && !slot.isSidecar));
    const over = mains.every(({ exitCode, running }) => exitCode !== undefined && running === undefined) && pod.spec.restartPolicy !== "Always";
    const phase = over ? (mains.every(({ exitCode }) => exitCode === 0) ? "Succeeded" : "Failed") : initialized ? "Running" : "Pending";
    const conditions = [condition("Initialized", initialized), condition("ContainersReady", ready), condition("Ready", ready)];
    const hostIP = machineAddress(mesh);
    return {
      phase,
      podIP,
      podIPs: [{ ip: podIP }],
      hostIP,
      hostIPs: [{ ip: hostIP }],
      startTime,
      conditions,
      initContainerStatuses: inits.map(containerStatus),
      containerStatuses: mains.map(containerStatus),
    };
  };

  const launch = async (slot: Slot): Promise<RunningContainer> => {
    const { container } = slot;
    const image = place.images(container.image);
    const env = await environmentOf(api, place.apiUrl, pod, container, image);
    const mounts = (container.volumeMounts ?? []).map(({ name: volume, mountPath, subPath = "" }) => [mountPath, join(folder, "volumes", volume, subPath)]);
    const logPath = join(place.folder, "logs", `${namespace}_${name}_${container.name}.log`);
    const running = await startContainer(
      pod,
      container,
      image,
      { networkNamespace: namespaceName(mesh, netns), folder, logPath },
      env,
      Object.fromEntries(mounts),
    );
    slot.probing = new AbortController();
    report(slot, { running, startedAt: now(), waiting: "" });
    void probe(slot, running, slot.probing.signal);
    return running;
  };
  const probe = async (slot: Slot, running: RunningContainer, signal: AbortSignal): Promise<void> => {
    const { container } = slot;
    const { startupProbe, readinessProbe, livenessProbe, lifecycle } = container;
    if (lifecycle?.postStart !== undefined) await act(lifecycle.postStart, container, running, podIP, 60_000).catch(() => running.kill("SIGTERM"));
    const ask = (asked: NonNullable<typeof startupProbe>) => (): Promise<void> => act(asked, container, running, podIP, asked.timeoutSeconds * 1_000);
    if (startupProbe !== undefined) {
      const begun = new AbortController();
      const either = AbortSignal.any([signal, begun.signal]);
      await watchProbe(startupProbe, ask(startupProbe), () => begun.abort(), either, false);
      if (signal.aborted) return;
    }
    report(slot, { started: true, ready: readinessProbe === undefined });
    if (readinessProbe !== undefined) void watchProbe(readinessProbe, ask(readinessProbe), (ready) => report(slot, { ready }), signal, false);
    if (livenessProbe !== undefined) void watchProbe(livenessProbe, ask(livenessProbe), () => terminating || running.kill("SIGTERM"), signal, true);
  };
  /** Runs a container until it ends for good. */
  const keep = async (slot: Slot): Promise<void> => {
    while (!terminating && !gone) {
      let running: RunningContainer | undefined;
      await retry(async () => {
        running = await launch(slot);
      }, slot);
      const exitCode = await running?.ended;
      slot.probing.abort();
      delete slot.running;
      report(slot, { started: false, ready: false, exitCode: exitCode ?? 137 });
      const policy = slot.isSidecar ? "Always" : pod.spec.restartPolicy === "Always" && inits.includes(slot) ? "OnFailure" : pod.spec.restartPolicy;
      if (terminating || policy === "Never" || (policy === "OnFailure" && exitCode === 0)) return;
      await sleep(RESTART_MS);
      slot.restarts += 1;
    }
  };
  const writeVolumes = async (): Promise<void> => {
    for (const volume of pod.spec.volumes ?? []) {
      volumes.set(volume.name, await writeVolume(place, pod, volume, join(folder, "volumes", volume.name), volumes.get(volume.name)));
    }
  };
  const run = async (): Promise<void> => {
    await network.add({ slot: netns, index, address: podIP, redirected: false, name, namespace });
    for (const { name: key, value } of pod.spec.securityContext?.sysctls ?? []) {
      await runTool("ip", ["netns", "exec", namespaceName(mesh, netns), "sh", "-c", 'echo "$2" > "/proc/sys/$1"', "sh", key.replaceAll(".", "/"), value]);
    }
    void publish();
    await retry(writeVolumes, slots[0]);
    void renew();
    for (const slot of inits) {
      const kept = keep(slot);
      if (slot.isSidecar) while (!slot.started && !terminating && !gone) await sleep(20);
      else await kept;
    }
    initialized = true;
    void publish();
    for (const slot of mains) if (!terminating && !gone) void keep(slot);
  };
  const renew = async (): Promise<void> => {
    while (!gone) {
      await sleep(place.renewMs, undefined, { ref: false });
      if (!gone) await writeVolumes().catch(() => undefined);
    }
  };

  const end = async (): Promise<void> => {
    gone = true;
    for (const { running, probing } of slots) {
      probing.abort();
      running?.kill("SIGKILL");
    }
    await Promise.all(slots.map(({ running }) => running?.ended));
    await network.remove(netns);
    await removeFolder(folder);
  };
  /** Hooks of all at once; then the containers, then the sidecars from the last to the first. Source: Kubernetes, killContainersWithSyncResult */
  const stopInOrder = async (): Promise<void> => {
    const hooks = new Map(slots.map((slot) => [slot, preStop(slot)]));
    const stop = async (slot: Slot): Promise<void> => {
      await hooks.get(slot);
      slot.running?.kill("SIGTERM");
      await slot.running?.ended;
    };
    await Promise.all(mains.map(stop));
    for (const slot of inits.toReversed()) await stop(slot);
  };
  const preStop = async ({ container, running }: Slot): Promise<void> => {
    const hook = container.lifecycle?.preStop;
    if (hook !== undefined && running !== undefined) await act(hook, container, running, podIP, 60_000).catch(() => undefined);
  };

  const slotNamed = (container: string): Slot => {
    const found = slots.find((slot) => slot.container.name === container);
    if (found === undefined) throw new Error(`pod ${name} has no container ${container}`);
    return found;
  };

  const begun = run().catch((error: Error) => process.stderr.write(`pod ${namespace}/${name}: ${error.message}\n`));
  let ending: Promise<void> | undefined;
  return {
    signal: (container, signal) => slotNamed(container).running?.kill(signal),
    setReady: (container, readinessCounts) => report(slotNamed(container), { readinessCounts }),
    terminate: (graceSeconds) => {
      terminating = true;
      ending ??= Promise.race([stopInOrder(), sleep(graceSeconds * 1_000, undefined, { ref: false })])
        .then(end)
        .then(async () => {
          gone = false;
          await retry(() => api.delete(path, { gracePeriodSeconds: 0, preconditions: { uid } }));
          gone = true;
        });
      return ending;
    },
    vanish: async () => {
      gone = true;
      for (const { running } of slots) running?.kill("SIGKILL");
      await begun;
      await end();
    },
  };
}

function createSlot(container: Container, isSidecar: boolean): Slot {
  return {
    container,
    isSidecar,
    probing: new AbortController(),
    started: false,
    ready: false,
    readinessCounts: true,
    restarts: 0,
    startedAt: now(),
    waiting: "ContainerCreating",
  };
}

function containerStatus({ container, running, started, ready, readinessCounts, restarts, startedAt, exitCode, waiting, isSidecar }: Slot): object {
  const state =
    running !== undefined
      ? { running: { startedAt }, waiting: null, terminated: null }
      : exitCode !== undefined
        ? { terminated: { exitCode, startedAt, finishedAt: now() }, running: null, waiting: null }
        : { waiting: { reason: "ContainerCreating", message: waiting }, running: null, terminated: null };
  const isReady = isSidecar || running !== undefined ? ready && readinessCounts : exitCode === 0;
  return { name: container.name, image: container.image, imageID: container.image, ready: isReady, started, restartCount: restarts, state };
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
