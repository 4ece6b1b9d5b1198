// What a decision costs: CPU of Envoy per request for the same 90/10 route, decided natively and by the filter. One Envoy under test with a
// listener per variant, so that all share one process, one worker and one upstream; the rounds are interleaved and compared pair by pair.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { PICK_HEADER } from "../../control-plane/translate/names.ts";
import { until } from "../e2e/mesh.ts";
import { runWrk } from "../e2e/wrk.ts";
import { bootstrapMedian, type Interval, seededRandom } from "./statistics.ts";

export interface RouteVariant {
  readonly name: string;
  /** The record that the filter reads; undefined where Envoy decides. */
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
  readonly envoy: string;
  readonly wrk: string;
  readonly wasm: Uint8Array;
  readonly rounds: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

const SPLIT = [
  { weight: 90, identity: "backend|80|stable", clusters: ["stable"] },
  { weight: 10, identity: "backend|80|canary", clusters: ["canary"] },
] as const;

function record(key: DecisionRecord["key"], zones: number): DecisionRecord {
  const candidates = SPLIT.map(({ weight, identity, clusters }) => ({
    weight,
    identity,
    entries: Array.from({ length: zones }, () => ({ width: weight * 64, cluster: clusters[0] })),
  }));
  return { key, salt: "default/backend/primary", candidates };
}

/** Native first: it is what the others are compared with. */
export const ROUTE_VARIANTS: readonly RouteVariant[] = [
  { name: "native weighted_clusters" },
  { name: "filter, random", record: record({ kind: "none" }, 1) },
  { name: "filter, sticky by header", record: record({ kind: "header", name: "x-user" }, 1) },
  { name: "filter, sticky, three zones", record: record({ kind: "header", name: "x-user" }, 3) },
];

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  return Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          const address = server.address();
          server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
        }),
    ),
  );
}

const socketAddress = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
const ROUTER = { name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

function httpListener(name: string, port: number, route: object, filters: readonly object[]): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name, domains: ["*"], routes: [{ match: { prefix: "/" }, ...route }] }] },
    http_filters: [...filters, ROUTER],
  };
  return {
    name,
    address: socketAddress(port),
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
  };
}

function wasmFilter(wasm: Uint8Array): object {
  const code = { local: { inline_bytes: Buffer.from(wasm).toString("base64") } };
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
function routeOf(variant: RouteVariant): object {
  const entries =
    variant.record?.candidates.flatMap((candidate) => candidate.entries.map((entry) => ({ name: entry.cluster, weight: entry.width }))) ??
    SPLIT.map(({ weight, clusters }) => ({ name: clusters[0], weight }));
  if (variant.record === undefined) return { route: { weighted_clusters: { clusters: entries } } };
  return {
    name: "backend.default/primary",
    route: { weighted_clusters: { header_name: PICK_HEADER, clusters: entries } },
    metadata: { filter_metadata: { weft: encodeDecisionRecord(variant.record) } },
    typed_per_filter_config: { weft: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", config: {} } },
    request_headers_to_remove: [PICK_HEADER],
  };
}

function bootstrapUnderTest(variants: readonly RouteVariant[], ports: readonly number[], upstreamPort: number, adminPort: number, wasm: Uint8Array): object {
  const cluster = (name: string) => ({
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(upstreamPort) } }] }] },
  });
  return {
    admin: { address: socketAddress(adminPort) },
    static_resources: {
      listeners: variants.map((variant, index) =>
        httpListener(`variant-${index}`, ports[index] ?? 0, routeOf(variant), variant.record === undefined ? [] : [wasmFilter(wasm)]),
      ),
      clusters: [cluster("stable"), cluster("canary")],
    },
  };
}

function upstreamBootstrap(port: number, adminPort: number): object {
  return {
    admin: { address: socketAddress(adminPort) },
    static_resources: { listeners: [httpListener("upstream", port, { direct_response: { status: 200, body: { inline_string: "ok" } } }, [])] },
  };
}

interface RunningEnvoy {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

async function runEnvoy(binary: string, folder: string, name: string, bootstrap: object, adminPort: number): Promise<RunningEnvoy> {
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify(bootstrap));
  const child = spawn(binary, ["-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--log-path", join(folder, `${name}.log`)], {
    stdio: "ignore",
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await until(`Envoy ${name} ready`, async () => ((await fetch(`http://127.0.0.1:${adminPort}/ready`)).status === 200 ? true : undefined));
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** Nanoseconds that all threads of a process have run, from the scheduler's own count. */
async function cpuNanoseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const runs = await Promise.all(threads.map(async (thread) => Number((await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8")).split(" ")[0])));
  return runs.reduce((sum, run) => sum + run, 0);
}

/** CPU per request of each variant, interleaved: in every round each variant runs once, in an order drawn from the seed. Linux only. */
export async function measureRouteCost(options: RouteCostOptions): Promise<readonly RouteCost[]> {
  const variants = ROUTE_VARIANTS;
  const random = seededRandom(options.seed);
  const folder = await mkdtemp(join(tmpdir(), "weft-bench-"));
  const ports = await freePorts(variants.length + 3);
  const [upstreamPort = 0, upstreamAdmin = 0, admin = 0, ...listen] = ports;
  const upstream = await runEnvoy(options.envoy, folder, "upstream", upstreamBootstrap(upstreamPort, upstreamAdmin), upstreamAdmin);
  const tested = await runEnvoy(options.envoy, folder, "tested", bootstrapUnderTest(variants, listen, upstreamPort, admin, options.wasm), admin);
  const costs: number[][] = variants.map(() => []);
  try {
    for (let round = -1; round < options.rounds; round++) {
      const order = variants.map((_, index) => ({ index, key: random() })).sort((a, b) => a.key - b.key);
      for (const { index } of order) {
        const before = await cpuNanoseconds(tested.pid);
        const report = await runWrk({
          path: options.wrk,
          url: `http://127.0.0.1:${listen[index] ?? 0}/`,
          connections: 16,
          durationSeconds: 1,
          headers: { "x-user": `user-${round}` },
        });
        const spent = (await cpuNanoseconds(tested.pid)) - before;
        if (report.failed > 0) throw new Error(`${variants[index]?.name}: ${report.failed} of ${report.requests} requests failed`);
        // The first round warms up caches and connections.
        if (round >= 0) costs[index]?.push(spent / report.requests / 1_000);
      }
      options.onProgress?.(`round ${round + 1} of ${options.rounds}`);
    }
  } finally {
    await Promise.all([tested.stop(), upstream.stop()]);
    await rm(folder, { recursive: true, force: true });
  }
  return summarize(variants, costs, random);
}

function summarize(variants: readonly RouteVariant[], costs: readonly (readonly number[])[], random: () => number): readonly RouteCost[] {
  const base = costs[0] ?? [];
  return variants.map(({ name }, index) => {
    const own = costs[index] ?? [];
    const ratios = own.map((cost, round) => cost / (base[round] ?? Number.NaN));
    return { name, microsecondsPerRequest: bootstrapMedian(own, random, 1).median, ratio: bootstrapMedian(ratios, random) };
  });
}
