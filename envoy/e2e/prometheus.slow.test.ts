// A real Prometheus scrapes a real mesh by the files that `weft up` writes, while a load generator counts: what the usual queries say is what was sent.
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { startLoad } from "./load.ts";
import { MESHES, startMesh, type TestMesh, until } from "./mesh.ts";
import { type Prometheus, startPrometheus } from "./prometheus.ts";
import { requireTool } from "./require-tool.ts";

let mesh: TestMesh;
let prometheus: Prometheus;
let started = false;

/** As the dashboards of Istio ask, by the caller's report. */
const WEB = 'reporter="source",destination_service="web.default.svc.cluster.local"';
const SCRAPES = "1s";

beforeEach(async ({ skip }) => {
  if (started) return;
  const path = requireTool("prometheus", skip);
  mesh = await startMesh(join(MESHES, "measured"));
  const { stateFolder } = mesh.ready;
  const configuration = join(stateFolder, "quick.yml");
  await writeFile(configuration, (await readFile(join(stateFolder, "prometheus.yml"), "utf8")).replace("15s", SCRAPES));
  prometheus = await startPrometheus(path, configuration);
  started = true;
}, 180_000);

afterAll(async () => {
  await prometheus?.close();
  await mesh?.close();
}, 60_000);

function caller(): TestMesh["ready"]["workloads"][number] {
  const found = mesh.ready.workloads.find(({ workload }) => workload === "caller");
  if (found === undefined) throw new Error("no caller");
  return found;
}

const service = (name: string): string => caller().services[name] ?? "";

/** Awaits that a query says a number: Prometheus has scraped what there was to count. */
const says = (promql: string, value: number): Promise<number> =>
  until(`${promql} = ${value}`, async () => {
    const found = await prometheus.number(promql);
    if (found !== value) throw new Error(`it says ${found}`);
    return found;
  });

interface Sent {
  readonly sent: number;
  readonly ok: number;
  readonly milliseconds: readonly number[];
}

/** One in twenty fails, and of the rest one in fifteen takes 300 ms: that is more than one in a hundred. */
async function sendLoad(total: number): Promise<Sent> {
  const startedMs = new Map<number, number>();
  const milliseconds: number[] = [];
  const urls = Array.from(
    { length: 60 },
    (_, index) => `${service("web.default.svc.cluster.local:80")}/?${index % 20 === 19 ? "status=500" : `sleep=${index % 15 === 7 ? 300 : 0}`}`,
  );
  const { sent, byStatus } = await startLoad({
    url: urls,
    connections: 8,
    ratePerSecond: 50,
    total,
    headers: (index) => {
      startedMs.set(index, performance.now());
      return {};
    },
    onResponse: ({ index }) => milliseconds.push(performance.now() - (startedMs.get(index) ?? Number.NaN)),
    isOk: (status) => status === 200 || status === 500,
  }).finished;
  return { sent, ok: byStatus[200] ?? 0, milliseconds };
}

describe("what Prometheus says of a mesh", () => {
  it("finds every proxy and the control plane by the targets that weft up writes", async () => {
    await says("count(up == 1)", mesh.ready.workloads.length + 1);
    expect(await prometheus.number('weft_proxies{state="up_to_date"}')).toBe(mesh.ready.workloads.length);
    expect(await prometheus.number('weft_certificate_expiry_timestamp_seconds{kind="proxy"} - time()')).toBeGreaterThan(0);
    expect(await prometheus.query('{__name__=~"envoy_.*"}')).toEqual([]);
  });

  it("agrees with the load generator on count, success rate and time", async () => {
    // Every series is there before it is to grow: of what it began with, rate() knows nothing.
    await sendLoad(240);
    await says(`sum(istio_requests_total{${WEB}})`, 240);
    const { sent, ok, milliseconds } = await sendLoad(1_500);
    await says(`sum(istio_requests_total{${WEB}}) - 240`, sent);
    // The callees count the same requests.
    await says(`sum(istio_requests_total{reporter="destination",destination_service="web.default.svc.cluster.local"}) - 240`, sent);

    const rate = (labels: string): string => `sum(rate(istio_requests_total{${WEB}${labels}}[20s]))`;
    const successRate = await prometheus.number(`${rate(',response_code!~"5.*"')} / ${rate("")}`);
    expect(Math.abs(successRate - ok / sent)).toBeLessThan(0.01);

    const buckets = `sum(rate(istio_request_duration_milliseconds_bucket{${WEB}}[20s])) by (le)`;
    const withinQuarter = `sum(istio_request_duration_milliseconds_bucket{${WEB},le="250"}) / sum(istio_request_duration_milliseconds_count{${WEB}})`;
    const counted = milliseconds.filter((time) => time <= 250).length / milliseconds.length;
    expect(Math.abs((await prometheus.number(withinQuarter)) - counted)).toBeLessThan(0.01);
    // A histogram knows of a time no more than between which bounds it lies: here 250 and 500 ms.
    const p99 = await prometheus.number(`histogram_quantile(0.99, ${buckets})`);
    const measured = [...milliseconds].sort((a, b) => a - b)[Math.floor(milliseconds.length * 0.99)] ?? Number.NaN;
    expect({ measured: measured > 250 && measured <= 500, p99: p99 > 250 && p99 <= 500 }).toEqual({ measured: true, p99: true });
  }, 120_000);

  it("names both ends of a request, with their zones, as Istio does", async () => {
    const [fromCaller] = await prometheus.query(`istio_requests_total{${WEB},destination_workload="web-b",response_code="200",request_protocol="http"}`);
    const spiffe = (account: string): string => `spiffe://cluster.local/ns/default/sa/${account}`;
    const both = {
      destination_workload_namespace: "default",
      destination_app: "web",
      destination_version: "v2",
      destination_zone: "ap-northeast-2b",
      destination_principal: spiffe("default"),
      destination_service_name: "web",
      destination_service_namespace: "default",
      source_principal: spiffe("caller"),
      response_flags: "-",
    };
    expect(fromCaller?.labels).toMatchObject({
      ...both,
      source_workload: "caller",
      source_workload_namespace: "default",
      source_app: "caller",
      source_version: "v7",
      source_zone: "ap-northeast-2a",
      connection_security_policy: "unknown",
    });
    const [atCallee] = await prometheus.query('istio_requests_total{reporter="destination",destination_workload="web-b",response_code="200"}');
    expect(atCallee?.labels).toMatchObject({ ...both, source_workload: "unknown", connection_security_policy: "mutual_tls" });
    expect(Object.keys(atCallee?.labels ?? {}).sort()).toEqual(Object.keys(fromCaller?.labels ?? {}).sort());
    const zones = await prometheus.query(`sum(istio_requests_total{${WEB}}) by (source_zone, destination_zone)`);
    expect(zones.map(({ labels }) => [labels.source_zone, labels.destination_zone]).sort()).toEqual([
      ["ap-northeast-2a", "ap-northeast-2a"],
      ["ap-northeast-2a", "ap-northeast-2b"],
    ]);
  });

  it("tells gRPC from other requests, by one word of two whatever a client says", async () => {
    const before = await prometheus.number(`sum(istio_requests_total{${WEB}})`);
    for (const type of ["application/grpc+proto", "text/plain", "x".repeat(200)]) {
      await startLoad({ url: service("web.default.svc.cluster.local:80"), connections: 1, total: 1, headers: () => ({ "content-type": type }) }).finished;
    }
    // All three, so that what is counted next begins with none of them under way.
    await says(`sum(istio_requests_total{${WEB}})`, before + 3);
    expect(await prometheus.number(`sum(istio_requests_total{${WEB},request_protocol="grpc"})`)).toBe(1);
    const protocols = await prometheus.query(`sum(istio_requests_total{${WEB}}) by (request_protocol)`);
    expect(protocols.map(({ labels }) => labels.request_protocol).sort()).toEqual(["grpc", "http"]);
  });

  it("counts the bytes of requests and answers", async () => {
    // Envoy adds to histograms every few seconds, to counters at once.
    await says(`sum(istio_requests_total{${WEB}}) - sum(istio_request_bytes_count{${WEB}})`, 0);
    const before = await prometheus.number(`sum(istio_request_bytes_count{${WEB}})`);
    await startLoad({ url: service("web.default.svc.cluster.local:80"), connections: 1, total: 10, method: "POST", body: "x".repeat(1_000) }).finished;
    await says(`sum(istio_request_bytes_count{${WEB}})`, before + 10);
    const bytes = await prometheus.number(`sum(istio_request_bytes_sum{${WEB}})`);
    // Envoy's histograms keep a value to about one part in a hundred.
    expect(Math.abs(bytes - 10_000)).toBeLessThan(500);
    expect(await prometheus.number(`sum(istio_response_bytes_sum{${WEB}}) / sum(istio_response_bytes_count{${WEB}})`)).toBeCloseTo(10, 0);
  });

  it("counts connections that are no HTTP, and their bytes when they end", async () => {
    const { hostname, port } = new URL(service("lines.default.svc.cluster.local:7070"));
    const socket = connect({ host: hostname, port: Number(port) });
    let received = 0;
    socket.on("data", (bytes) => {
      received += bytes.length;
    });
    socket.write("x".repeat(1_000));
    const lines = 'reporter="source",destination_service_name="lines",request_protocol="tcp"';
    await says(`sum(istio_tcp_connections_opened_total{${lines}})`, 1);
    expect(await prometheus.number(`sum(istio_tcp_connections_closed_total{${lines}})`)).toBeNaN();
    await until("the answer", () => (received === 2_000 ? received : undefined));
    socket.end();
    await says(`sum(istio_tcp_connections_closed_total{${lines}})`, 1);
    expect(await prometheus.number(`sum(istio_tcp_received_bytes_total{${lines}})`)).toBe(1_000);
    expect(await prometheus.number(`sum(istio_tcp_sent_bytes_total{${lines}})`)).toBe(2_000);
    await says('sum(istio_tcp_connections_closed_total{reporter="destination",destination_service_name="lines",connection_security_policy="mutual_tls"})', 1);
  });

  it("follows the mesh: a workload that is stopped is no target any longer", async () => {
    await mesh.weft("stop", "lines");
    await says("count(up == 1)", mesh.ready.workloads.length);
  });
});
