// What a decision costs: CPU of Envoy per request for the same 90/10 route, decided natively and by the filter. One Envoy under test with a
// listener per variant, so that all share one process, one worker and one upstream; the rounds are interleaved and compared pair by pair.
import { readdir, readFile } from "node:fs/promises";
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { PICK_HEADER } from "../../control-plane/translate/names.ts";
import { startStaticEnvoy } from "../e2e/static-envoy.ts";
import { type BoundedLoad, openBoundedLoad } from "./bounded-load.ts";
import { bootstrapMedian, type Interval, median, seededRandom } from "./statistics.ts";

/** One way to decide the route. Without a filter Envoy decides; a filter without a record leaves it to Envoy. */
export interface RouteVariant {
  readonly name: string;
  readonly filter?: Uint8Array;
  readonly record?: DecisionRecord;
}

export interface RouteCost {
  readonly name: string;
  /** CPU of the whole Envoy process per request, microseconds, median over the rounds. */
  readonly microsecondsPerRequest: number;
  /** Against the first variant, paired within each round. */
  readonly ratio: Interval;
}

export interface RouteCostOptions {
  /** The first is what the others are compared with. */
  readonly variants: readonly RouteVariant[];
  readonly rounds: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

const SUBSETS = [
  { subset: "stable", weight: 90 },
  { subset: "canary", weight: 10 },
] as const;
const ZONES = ["a", "b", "c"] as const;
const USERS = Array.from({ length: 100 }, (_, index) => `user-${index + 1}`);
const LOAD = { connections: 16, body: "ok", headers: USERS.map((user) => ({ "x-user": user })) } as const;
/** Each variant's turn: short, so that whatever else the machine does meanwhile falls on all of them alike. */
const REQUESTS_PER_TURN = 500;
const TURNS_PER_ROUND = 4;
const WARM_UP_ROUNDS = 3;

function recordOf(key: DecisionRecord["key"], zones: readonly string[]): DecisionRecord {
  const candidates = SUBSETS.map(({ subset, weight }) => ({
    weight,
    identity: `backend|80|${subset}`,
    entries: zones.length === 0 ? [{ width: weight, cluster: subset }] : zones.map((zone) => ({ width: weight, cluster: `${subset};zone=${zone}` })),
  }));
  return { key, salt: "default/backend/primary", candidates };
}

/** The variants that the README shows, native first. */
export function routeVariants(filter: Uint8Array, emptyFilter: Uint8Array): readonly RouteVariant[] {
  const sticky = { kind: "header", name: "x-user" } as const;
  return [
    { name: "native weighted_clusters" },
    { name: "empty wasm callback, native choice", filter: emptyFilter },
    { name: "filter, random", filter, record: recordOf({ kind: "none" }, []) },
    { name: "filter, sticky by header", filter, record: recordOf(sticky, []) },
    { name: "filter, random, three zones", filter, record: recordOf({ kind: "none" }, ZONES) },
    { name: "filter, sticky, three zones", filter, record: recordOf(sticky, ZONES) },
  ];
}

const ROUTER = { name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

function httpListener(name: string, route: object, filters: readonly object[]): object {
  const connectionManager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name, domains: ["*"], routes: [{ match: { prefix: "/" }, ...route }] }] },
    http_filters: [...filters, ROUTER],
  };
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager }] }],
  };
}

/** The filter as translation configures it: off but where a route names it. */
function wasmFilter(filter: Uint8Array): object {
  const code = { local: { inline_bytes: Buffer.from(filter).toString("base64") } };
  return {
    name: "weft",
    disabled: true,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: { name: "weft", failure_policy: "FAIL_OPEN", vm_config: { vm_id: "bench", runtime: "envoy.wasm.runtime.v8", code } },
    },
  };
}

/** The route that each variant measures, in the shape that translation gives it. */
function routeOf({ filter, record }: RouteVariant): object {
  const entries =
    record?.candidates.flatMap((candidate) => candidate.entries.map(({ cluster, width }) => ({ name: cluster, weight: width }))) ??
    SUBSETS.map(({ subset, weight }) => ({ name: subset, weight }));
  return {
    name: "backend.default/primary",
    route: { weighted_clusters: { ...(record ? { header_name: PICK_HEADER } : {}), clusters: entries } },
    ...(record ? { metadata: { filter_metadata: { weft: encodeDecisionRecord(record) } }, request_headers_to_remove: [PICK_HEADER] } : {}),
    ...(filter ? { typed_per_filter_config: { weft: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", config: {} } } } : {}),
  };
}

const listenerName = (index: number): string => `variant-${index}`;

function resourcesUnderTest(variants: readonly RouteVariant[], upstream: string): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: Number(new URL(upstream).port) } };
  const cluster = (name: string) => ({
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  });
  return {
    listeners: variants.map((variant, index) => httpListener(listenerName(index), routeOf(variant), variant.filter ? [wasmFilter(variant.filter)] : [])),
    clusters: SUBSETS.flatMap(({ subset }) => [subset, ...ZONES.map((zone) => `${subset};zone=${zone}`)]).map(cluster),
  };
}

/** Nanoseconds that all threads of a process have run, from the scheduler's own count. */
async function cpuNanoseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const runs = await Promise.all(threads.map(async (thread) => Number((await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8")).split(" ")[0])));
  return runs.reduce((sum, run) => sum + run, 0);
}

/** CPU per request of each variant: in every round each has its turns, in an order drawn from the seed. Linux only. */
export async function measureRouteCost({ variants, rounds, seed, onProgress }: RouteCostOptions): Promise<readonly RouteCost[]> {
  const random = seededRandom(seed);
  const node = { id: "bench", cluster: "bench" };
  const answer = { direct_response: { status: 200, body: { inline_string: LOAD.body } } };
  const upstream = await startStaticEnvoy({ listeners: [httpListener("upstream", answer, [])] }, node);
  const closers: (() => unknown)[] = [() => upstream.close()];
  try {
    const tested = await startStaticEnvoy(resourcesUnderTest(variants, upstream.url("upstream")), node);
    closers.push(() => tested.close());
    const loads = await Promise.all(variants.map((_, index) => openBoundedLoad({ url: tested.url(listenerName(index)), ...LOAD })));
    closers.push(...loads.map((load) => () => load.close()));
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
function summarize(variants: readonly RouteVariant[], costs: readonly (readonly number[])[], random: () => number): readonly RouteCost[] {
  return variants.map(({ name }, index) => ({
    name,
    microsecondsPerRequest: median(costs.map((cost) => cost[index] ?? Number.NaN)) / 1_000,
    ratio: bootstrapMedian(
      costs.map((cost) => (cost[index] ?? Number.NaN) / (cost[0] ?? Number.NaN)),
      random,
    ),
  }));
}
