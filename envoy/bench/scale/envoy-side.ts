// `npm run bench:envoy-side -- [--services N]`: what a configuration costs the Envoy that takes it. Real Envoys, one worker each, are given the same mesh as Weft
// configures a sidecar without scope and as Istio does: first clusters and endpoints, then virtual hosts, then one change of each. Told are the memory that
// Envoy has allocated and resident, and the CPU of its main thread, which takes configuration in. Markdown to standard output. Linux.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pino from "pino";
import { createRoot, issueLeaf } from "../../../control-plane/ca/certificates.ts";
import { leafSecret, rootsSecret } from "../../../control-plane/ca/secrets.ts";
import { buildMesh } from "../../../control-plane/mesh/build.ts";
import type { Instance } from "../../../control-plane/mesh/instance.ts";
import { EMPTY_LAST_GOOD } from "../../../control-plane/model/last-good.ts";
import { EMPTY_QUARANTINE } from "../../../control-plane/snapshot/quarantine.ts";
import type { ProxySecrets } from "../../../control-plane/snapshot/secrets.ts";
import { buildSnapshot, type Snapshot } from "../../../control-plane/snapshot/snapshot.ts";
import { parseFile } from "../../../control-plane/source/parse-file.ts";
import type { TranslatedResource } from "../../../control-plane/translate/resource.ts";
import { translate } from "../../../control-plane/translate/translate.ts";
import { effectiveResources } from "../../../control-plane/validate/effective.ts";
import { systemClock } from "../../../control-plane/xds/clock.ts";
import { startXdsServer } from "../../../control-plane/xds/server.ts";
import { buildFilter } from "../../../filter/build.ts";
import { bootstrapOf } from "../../bootstrap.ts";
import { until } from "../../e2e/dynamic-envoy.ts";
import { ensureEnvoy } from "../../install.ts";
import { istioConfiguration } from "./istio-configuration.ts";
import { meshOfSize, serviceFile, serviceYaml } from "./service-mesh.ts";

/** Gives what a sidecar is to hold, for the weight of v1 of service 3 and whether its instance 5 is ready. */
type Configure = (weight: number, ready: boolean) => readonly TranslatedResource[];

interface Variant {
  readonly name: string;
  readonly configure: Configure;
  /** In place of the statistics that Weft's bootstrap keeps. */
  readonly statistics?: readonly object[];
}

/** What Istio's bootstrap keeps; statistics of clusters are not among it. Source: Istio, tools/packaging/common/envoy_bootstrap.json. */
const ISTIO_STATISTICS = ["reporter=", "cluster_manager", "listener_manager", "server", "cluster.xds", "wasm"].map((prefix) => ({ prefix }));

/** Envoy's main thread goes on for a while with what it has acknowledged. */
const REST_MS = 5_000;
const { services } = parseArgs({ options: { services: { type: "string", default: "1000" } } }).values;
const count = Number(services);
const sized = meshOfSize({ services: count, proxies: 1, scope: "unscoped" });
const wasm = await readFile((await buildFilter()).path);

const running = (ready: boolean): readonly Instance[] => sized.instances.map((instance, index) => (index === 35 ? { ...instance, ready } : instance));

const weft: Configure = (weight, ready) => {
  const texts = new Map([...sized.files, [serviceFile(3), serviceYaml(3, weight)] as const]);
  const files = new Map([...texts].map(([path, text]) => [path, parseFile(path, text)]));
  const { resources } = effectiveResources(files, EMPTY_LAST_GOOD);
  const mesh = buildMesh({ resources, instances: running(ready), proxies: sized.proxies, domain: "cluster.local" });
  const translation = translate(mesh, { filter: { wasm, generationOf: () => 0 } });
  return [...translation.proxies.values()][0]?.resources ?? [];
};
const istio: Configure = (weight, ready) =>
  istioConfiguration(
    running(ready),
    Array.from({ length: count }, (_, index) => (index === 3 ? weight : 90)),
  );

const VARIANTS: readonly Variant[] = [
  { name: "Weft", configure: weft },
  { name: "as Istio, with Weft's statistics", configure: istio },
  { name: "as Istio, with Istio's statistics", configure: istio, statistics: ISTIO_STATISTICS },
];

interface Reading {
  readonly mainThreadMs: number;
  readonly allocatedMb: number;
  readonly residentMb: number;
}

interface Step extends Reading {
  readonly name: string;
  readonly sentBytes: number;
}

async function secretsFor(proxyId: string): Promise<ProxySecrets> {
  const root = await createRoot(1, Date.now());
  const leaf = await issueLeaf(root, { uri: "spiffe://cluster.local/ns/default/sa/default", nowMs: Date.now(), lifetimeMs: 3_600_000 });
  return { resources: new Map([leafSecret(leaf), rootsSecret(root.rootsPem)].map((secret) => [secret.name, secret])), awaited: new Set([`${proxyId}/none`]) };
}

/** The steps of one variant, each told as its difference to the one before. */
async function measure({ configure, statistics }: Variant): Promise<readonly Step[]> {
  const proxy = sized.proxies[0];
  if (proxy === undefined) throw new Error("a mesh with one proxy");
  const folder = await mkdtemp(join(tmpdir(), "weft-envoy-side-"));
  const logger = pino({ level: "silent" });
  const refused: string[] = [];
  const server = await startXdsServer({
    host: "127.0.0.1",
    port: 0,
    plaintext: true,
    logger,
    clock: systemClock,
    onState: () => undefined,
    onNack: ({ resource, reason }) => refused.push(`${resource.type} ${resource.name}: ${reason}`),
  });
  const secrets = await secretsFor(proxy.id);
  let snapshot: Snapshot | undefined;
  const publish = async (resources: readonly TranslatedResource[]): Promise<number> => {
    const revision = (snapshot?.revision ?? 0) + 1;
    const translation = { proxies: new Map([[proxy.id, { proxyId: proxy.id, resources }]]), diagnostics: [] };
    snapshot = buildSnapshot({ previous: snapshot, translation, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision, secretsOf: () => secrets });
    if (!snapshot.proxies.has(proxy.id)) throw new Error(snapshot.diagnostics.map(({ what }) => what).join("\n"));
    server.publish(snapshot);
    await until("Envoy holds it all, or refuses something", () => server.state()[0]?.upToDate === true || refused.length > 0, 120_000);
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    if (refused.length > 0) throw new Error(`Envoy refuses ${refused.join()}`);
    return server.state()[0]?.bytesSent ?? 0;
  };
  const admin = join(folder, "admin");
  const bootstrap = bootstrapOf(proxy, { admin: { address: "127.0.0.1", port: 0 }, xds: { address: "127.0.0.1", port: server.port } });
  const kept = statistics === undefined ? {} : { stats_config: { stats_matcher: { inclusion_list: { patterns: statistics } } } };
  await writeFile(join(folder, "envoy.json"), JSON.stringify({ ...bootstrap, ...kept }));
  const all = configure(90, true);
  const [first, ...others] = stagesOf(all);
  if (first === undefined) return [];
  const ready = publish(first.resources);
  const args = ["-c", join(folder, "envoy.json"), "--admin-address-path", admin, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"];
  const child = spawn(await ensureEnvoy(), args, { stdio: "ignore" });
  try {
    let [sent, before] = [await ready, await reading(child.pid ?? 0, admin)];
    const steps: Step[] = [{ name: first.name, sentBytes: sent, ...before }];
    const changes = [
      { name: `nothing, for ${REST_MS / 1_000} s`, resources: all },
      { name: "one weight", resources: configure(80, true) },
      { name: "one endpoint", resources: configure(80, false) },
    ];
    for (const { name, resources } of [...others, ...changes]) {
      const total = await publish(resources);
      const now = await reading(child.pid ?? 0, admin);
      steps.push({
        name,
        sentBytes: total - sent,
        mainThreadMs: now.mainThreadMs - before.mainThreadMs,
        allocatedMb: now.allocatedMb - before.allocatedMb,
        residentMb: now.residentMb - before.residentMb,
      });
      [sent, before] = [total, now];
    }
    return steps;
  } finally {
    child.kill("SIGKILL");
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** First what is there without the services, then their clusters with their endpoints, then the routes to them. */
function stagesOf(all: readonly TranslatedResource[]): readonly { readonly name: string; readonly resources: readonly TranslatedResource[] }[] {
  const isOutbound = ({ type, name }: TranslatedResource): boolean => (type === "cluster" || type === "endpoint") && name.startsWith("outbound|");
  const isHost = ({ type, name }: TranslatedResource): boolean => type === "virtualHost" && !name.endsWith("/*");
  const isRouting = ({ type, needs }: TranslatedResource): boolean => type === "route" && needs.some((need) => need.startsWith("cluster/outbound|"));
  const bare = all.filter((resource) => !isOutbound(resource) && !isHost(resource) && !(isRouting(resource) || resource.needs.includes("route/80")));
  const clusters = all.filter((resource) => bare.includes(resource) || isOutbound(resource));
  return [
    { name: "without services", resources: bare },
    { name: `${all.filter(({ type, name }) => type === "cluster" && name.startsWith("outbound|")).length} clusters with their endpoints`, resources: clusters },
    { name: `${count} virtual hosts`, resources: all },
  ];
}

/** Of the main thread, whose id is the process's: nanoseconds that it has run, from the scheduler's own count. */
async function reading(pid: number, adminPath: string): Promise<Reading> {
  const [schedule, status, admin] = await Promise.all([
    readFile(`/proc/${pid}/task/${pid}/schedstat`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
    readFile(adminPath, "utf8"),
  ]);
  const memory: unknown = await (await fetch(`http://${admin}/memory`)).json();
  const allocated = typeof memory === "object" && memory !== null && "allocated" in memory ? Number(memory.allocated) : Number.NaN;
  return {
    mainThreadMs: Number(schedule.split(" ")[0]) / 1e6,
    allocatedMb: allocated / 1_048_576,
    residentMb: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1_024,
  };
}

console.log(`${count} services with 10 endpoints each; each row is what it adds to the one before.\n`);
console.log("| configured | | sent | main thread | allocated | resident |\n| --- | --- | ---: | ---: | ---: | ---: |");
for (const variant of VARIANTS) {
  for (const { name, sentBytes, mainThreadMs, allocatedMb, residentMb } of await measure(variant)) {
    const sent = sentBytes > 1e5 ? `${(sentBytes / 1e6).toFixed(1)} MB` : `${(sentBytes / 1e3).toFixed(1)} kB`;
    console.log(`| ${variant.name} | ${name} | ${sent} | ${mainThreadMs.toFixed(0)} ms | ${allocatedMb.toFixed(1)} MB | ${residentMb.toFixed(1)} MB |`);
  }
}
