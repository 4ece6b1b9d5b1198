// One Envoy as a process: its bootstrap written, started, watched until its admin port says ready, started again when it ends.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { bootstrapOf } from "../../envoy/bootstrap.ts";
import type { ListenAddress, Proxy } from "../mesh/instance.ts";
import type { RunnerEvent } from "./events.ts";
import type { Guard } from "./guard.ts";
import { lastLineOf, logSizeBytes } from "./last-line.ts";
import { urlOf } from "./layout.ts";
import type { InstancePlace } from "./live-instance.ts";
import type { ProxyTokens } from "./proxy-tokens.ts";
import { check } from "./readiness.ts";
import { superviseProcess } from "./supervised-process.ts";

export interface EnvoyContext {
  /** The binary. */
  readonly envoy: string;
  /** The control plane's server, which keeps its port over restarts. */
  readonly xds: () => ListenAddress;
  /** Holds the bootstraps. */
  readonly stateFolder: string;
  /** How proxies and control plane prove themselves to each other. Default: not at all. */
  readonly tokens?: ProxyTokens;
  readonly guard: Guard;
  /** Sends chosen statistics to the control plane. */
  readonly metricsEveryMs?: number;
  readonly emit: (event: RunnerEvent) => void;
  /** Envoys start side by side, but not all at once. */
  readonly turn: <Value>(start: () => Promise<Value>) => Promise<Value>;
}

export interface EnvoyProcess {
  /** 0 while none runs. */
  readonly pid: () => number;
  readonly ready: () => boolean;
  /** How long its last start took; undefined before it was ready. */
  readonly startedInMs: () => number | undefined;
  /** Requests that are under way through it now; undefined when it does not say. */
  readonly activeRequests: () => Promise<number | undefined>;
  readonly end: () => Promise<void>;
}

const READY_POLL_MS = 50;
/** How long one Envoy may keep others waiting for their turn. */
const TURN_MS = 5_000;
const END_GRACE_MS = 2_000;

/**
 * No hot restart: it needs shared memory and a base id, and the runner replaces instances instead. A listener that goes keeps its open connections for the
 * drain time, Istio's 45 s, but is told at once to end them after their next response. Access logs are read by people who wait: Envoy's own interval is 10 s.
 */
const ARGUMENTS = [
  "--concurrency",
  "1",
  "--file-flush-interval-msec",
  "1000",
  "--disable-hot-restart",
  "--drain-time-s",
  "45",
  "--drain-strategy",
  "immediate",
  "--log-level",
  "warning",
];

const statistics = z.object({ stats: z.array(z.object({ name: z.string(), value: z.number() }).partial()) });

/** Starts the Envoy of `proxy`. `onChange`: it became ready, or no longer is. */
export function startEnvoy(
  proxy: Proxy,
  admin: ListenAddress,
  logPath: string,
  context: EnvoyContext,
  onChange: () => void,
  place?: InstancePlace,
): EnvoyProcess {
  const { emit } = context;
  const config = join(context.stateFolder, "envoy", `${proxy.id}.json`);
  mkdirSync(dirname(config), { recursive: true, mode: 0o700 });
  const writeBootstrap = async (): Promise<void> => {
    const { metricsEveryMs } = context;
    const identity = await context.tokens?.prepare(proxy);
    const bootstrap = bootstrapOf(proxy, {
      admin,
      xds: (place?.xds ?? context.xds)(),
      ...(identity === undefined ? {} : { identity }),
      ...(metricsEveryMs === undefined ? {} : { metricsEveryMs }),
    });
    writeFileSync(config, JSON.stringify(bootstrap), { mode: 0o600 });
  };
  let ready = false;
  let runs = 0;
  let startedAtMs = 0;
  let startedInMs: number | undefined;
  let logOffsetBytes = 0;
  let process: ReturnType<typeof superviseProcess> | undefined;
  let ended = false;

  const pollReady = async (run: number): Promise<void> => {
    while (!ended && run === runs && !ready) {
      if (await check({ kind: "http", target: admin, path: "/ready", tls: false, periodMs: READY_POLL_MS })) {
        if (ended || run !== runs) return;
        ready = true;
        startedInMs = Math.round(performance.now() - startedAtMs);
        emit({ event: "proxy", proxy: proxy.id, state: "ready", text: `the proxy ${proxy.id} is ready` });
        onChange();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
  };
  const lost = (reason: string): void => {
    ready = false;
    runs += 1;
    emit({ event: "proxy", proxy: proxy.id, state: "crashed", text: `the proxy ${proxy.id} ${reason}, its log is ${logPath}` });
    onChange();
  };
  void context.turn(async () => {
    if (ended) return;
    try {
      await writeBootstrap();
    } catch (error) {
      return lost(`cannot be started: ${error instanceof Error ? error.message : error}`);
    }
    if (ended) return;
    let started: () => void = () => undefined;
    const first = new Promise<void>((resolve) => {
      started = resolve;
    });
    const spec = { program: context.envoy, args: ["-c", config, ...ARGUMENTS], directory: context.stateFolder, env: globalThis.process.env, logPath };
    process = superviseProcess(
      place === undefined ? spec : place.proxy(spec),
      context.guard,
      {
        onStarted: () => {
          logOffsetBytes = logSizeBytes(logPath);
          startedAtMs = performance.now();
          emit({ event: "proxy", proxy: proxy.id, state: "starting", text: `the proxy ${proxy.id} starts` });
          void pollReady(runs).then(started);
        },
        onEnded: (reason) => {
          const said = lastLineOf(logPath, logOffsetBytes);
          lost(`${reason}${said === undefined ? "" : `, and said last: ${said}`}; it is started again`);
        },
        onFailed: (reason) => lost(`cannot be started: ${reason}`),
      },
      place?.prepared,
    );
    const limit = new Promise<void>((resolve) => setTimeout(resolve, TURN_MS).unref());
    await Promise.race([first, limit]);
  });

  return {
    pid: () => process?.pid() ?? 0,
    ready: () => ready,
    startedInMs: () => startedInMs,
    activeRequests: () => activeRequests(admin),
    end: async () => {
      ended = true;
      ready = false;
      await process?.end(END_GRACE_MS);
      await context.tokens?.release(proxy.id);
      emit({ event: "proxy", proxy: proxy.id, state: "stopped", text: `the proxy ${proxy.id} has ended` });
    },
  };
}

/** The sum over all listeners but the admin port, whose one request asks this. */
async function activeRequests(admin: ListenAddress): Promise<number | undefined> {
  try {
    const answer = await fetch(`${urlOf(admin)}/stats?format=json&filter=downstream_rq_active$`, { signal: AbortSignal.timeout(1_000) });
    const { stats } = statistics.parse(await answer.json());
    return stats.reduce((sum, { name = "", value = 0 }) => sum + (name.startsWith("http.admin.") ? 0 : value), 0);
  } catch {
    return undefined;
  }
}
