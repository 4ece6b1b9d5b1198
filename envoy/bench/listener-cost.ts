// What a listener costs: CPU of Envoy per request, of several variants of a listener. One Envoy under test holds them all, so that they share one process,
// one worker and one upstream; the rounds are interleaved and compared pair by pair.
import { readdir, readFile } from "node:fs/promises";
import { startStaticEnvoy } from "../e2e/static-envoy.ts";
import { type BoundedLoad, openBoundedLoad } from "./bounded-load.ts";
import { bootstrapMedian, type Interval, median, seededRandom } from "./statistics.ts";

/** A listener to be measured. */
export interface ListenerVariant {
  readonly name: string;
  /** The listener's JSON under this name, at a port of the system's choice. */
  readonly listener: (name: string) => object;
}

export interface ListenerCost {
  readonly name: string;
  /** CPU of the whole Envoy process per request, microseconds, median over the rounds. */
  readonly microsecondsPerRequest: number;
  /** Against the first variant, paired within each round. */
  readonly ratio: Interval;
}

export interface ListenerCostOptions {
  /** The first is what the others are compared with. */
  readonly variants: readonly ListenerVariant[];
  /** Listeners that variants lead on to, where a request passes two proxies: they run in the same Envoy, so that both are counted. */
  readonly behind?: readonly object[];
  /** Clusters that lead to the upstream's port. */
  readonly clusters: (upstreamPort: number) => readonly object[];
  /** Headers of the requests, in turn. */
  readonly headers: readonly Readonly<Record<string, string>>[];
  readonly rounds: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

const BODY = "ok";
const CONNECTIONS = 16;
/** Each variant's turn: short, so that whatever else the machine does meanwhile falls on all of them alike. */
const REQUESTS_PER_TURN = 500;
const TURNS_PER_ROUND = 4;
const WARM_UP_ROUNDS = 3;

const ROUTER = { name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

export interface HttpListenerParts {
  /** Of the only route. */
  readonly route: object;
  /** Before the router. */
  readonly filters?: readonly object[];
  readonly accessLog?: readonly object[];
}

/** A listener with an HTTP connection manager and one route for everything. */
export function httpListener(name: string, { route, filters = [], accessLog = [] }: HttpListenerParts): object {
  const connectionManager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name, domains: ["*"], routes: [{ match: { prefix: "/" }, ...route }] }] },
    http_filters: [...filters, ROUTER],
    access_log: accessLog,
  };
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager }] }],
  };
}

const listenerName = (index: number): string => `variant-${index}`;

/** Nanoseconds that all threads of a process have run, from the scheduler's own count. */
async function cpuNanoseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const runs = await Promise.all(threads.map(async (thread) => Number((await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8")).split(" ")[0])));
  return runs.reduce((sum, run) => sum + run, 0);
}

/** CPU per request of each variant: in every round each has its turns, in an order drawn from the seed. Linux only. */
export async function measureListeners({
  variants,
  behind = [],
  clusters,
  headers,
  rounds,
  seed,
  onProgress,
}: ListenerCostOptions): Promise<readonly ListenerCost[]> {
  const random = seededRandom(seed);
  const node = { id: "bench", cluster: "bench" };
  const route = { direct_response: { status: 200, body: { inline_string: BODY } } };
  const upstream = await startStaticEnvoy({ listeners: [httpListener("upstream", { route })] }, node);
  const closers: (() => unknown)[] = [() => upstream.close()];
  try {
    const upstreamPort = Number(new URL(upstream.url("upstream")).port);
    const listeners = variants.map(({ listener }, index) => listener(listenerName(index)));
    const tested = await startStaticEnvoy({ listeners: [...listeners, ...behind], clusters: clusters(upstreamPort) }, node);
    closers.push(() => tested.close());
    const load = { connections: CONNECTIONS, body: BODY, headers };
    const loads = await Promise.all(variants.map((_, index) => openBoundedLoad({ url: tested.url(listenerName(index)), ...load })));
    closers.push(...loads.map((open) => () => open.close()));
    const costs: (readonly number[])[] = [];
    for (let round = 1 - WARM_UP_ROUNDS; round <= rounds; round++) {
      const cost = await runRound(tested.pid, loads, random);
      if (round > 0) costs.push(cost);
      onProgress?.(round > 0 ? `round ${round} of ${rounds}` : "warming up");
    }
    return summarize(variants, costs, random);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** Nanoseconds of CPU per request, by variant. */
async function runRound(pid: number, loads: readonly BoundedLoad[], random: () => number): Promise<readonly number[]> {
  const spent = loads.map(() => 0);
  for (let turn = 0; turn < TURNS_PER_ROUND; turn++) {
    const order = loads.map((load, index) => ({ load, index, key: random() })).sort((a, b) => a.key - b.key);
    for (const { load, index } of order) {
      const before = await cpuNanoseconds(pid);
      await load.run(REQUESTS_PER_TURN);
      spent[index] = (spent[index] ?? 0) + (await cpuNanoseconds(pid)) - before;
    }
  }
  return spent.map((nanoseconds) => nanoseconds / (TURNS_PER_ROUND * REQUESTS_PER_TURN));
}

/** `costs`: by round, then by variant. */
function summarize(variants: readonly ListenerVariant[], costs: readonly (readonly number[])[], random: () => number): readonly ListenerCost[] {
  return variants.map(({ name }, index) => ({
    name,
    microsecondsPerRequest: median(costs.map((cost) => cost[index] ?? Number.NaN)) / 1_000,
    ratio: bootstrapMedian(
      costs.map((cost) => (cost[index] ?? Number.NaN) / (cost[0] ?? Number.NaN)),
      random,
    ),
  }));
}
