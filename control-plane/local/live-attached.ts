// One instance whose program somebody else runs, in an editor or a debugger: a sidecar of its own, and requests while the program's port is open.
import type { InstanceState } from "./api.ts";
import { startEnvoy } from "./envoy-process.ts";
import type { LiveInstance, LiveInstanceOptions } from "./live-instance.ts";
import { watchReadiness } from "./readiness.ts";

/** A port that closes is to be noticed at once: whoever has stopped at a breakpoint keeps it open. */
const PERIOD_MS = 250;

/** Starts the sidecar and watches the port. */
export function startAttached(options: Omit<LiveInstanceOptions, "application" | "probe" | "onProgram" | "inForce">): LiveInstance {
  const { identity, places, logs, envoy, proxy, changed } = options;
  const { name, workload, locality } = identity;
  const target = places.application;
  let [open, retiring] = [false, false];

  const say = (state: "ready" | "draining" | "stopped", text: string): void =>
    envoy.emit({
      event: "workload",
      workload: workload.name,
      namespace: workload.namespace,
      instance: name,
      zone: locality.zone,
      state,
      text: `${name} ${text}`,
    });
  const sidecar = proxy === undefined ? undefined : startEnvoy(proxy, places.admin, logs.envoy, envoy, changed, options.place);
  const watch = watchReadiness({ kind: "listening", target, periodMs: PERIOD_MS }, (ready) => {
    open = ready;
    if (ready) say("ready", `has joined: ${target.address}:${target.port} is open`);
    else say("draining", `has left: ${target.address}:${target.port} is closed; it joins again when it is open`);
    changed();
  });
  const serves = (): boolean => sidecar?.ready() ?? false;
  const ready = (): boolean => !retiring && open && serves();
  const state = (): InstanceState => (retiring ? "draining" : ready() ? "ready" : open ? "starting" : "unready");
  const endSidecar = async (): Promise<void> => {
    watch.close();
    await sidecar?.end();
  };

  return {
    identity,
    places,
    logs,
    proxyId: proxy?.id ?? "",
    state,
    ready,
    // Nobody waits for a person.
    failing: serves,
    proxyServes: serves,
    pids: () => ({ application: 0, envoy: sidecar?.pid() ?? 0 }),
    restarts: () => 0,
    sidecarStartedInMs: () => sidecar?.startedInMs(),
    retire: async () => {
      retiring = true;
      await endSidecar();
      say("stopped", "is attached no longer");
    },
    endApplication: async () => undefined,
    endSidecar,
  };
}
