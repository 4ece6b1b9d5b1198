// `npm run bench:scope -- [--services 100,1000,5000] [--scopes auto,all]`: one real Envoy of a workload that calls 10 services of a mesh of N. Printed: what the
// first request to each costs, what the stream has carried, and how much memory Envoy has allocated. Markdown on standard output; nothing here is a gate.
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { type Caller, startScopedMesh, startUpstream } from "../e2e/scoped-mesh.ts";
import { ask } from "../e2e/served-mesh.ts";
import { serviceName, serviceYaml } from "./scale/service-mesh.ts";
import { median } from "./statistics.ts";

const CALLED = 10;
const ENDPOINTS = 10;
const ROUNDS = 5;

const { values } = parseArgs({ options: { services: { type: "string", default: "100,1000,5000" }, scopes: { type: "string", default: "auto,all" } } });

interface Figures {
  readonly bytes: number;
  readonly resources: number;
  readonly allocatedMb: number;
  readonly firstMs: readonly number[];
  readonly laterMs: readonly number[];
  readonly secondCopyBytes: number;
}

async function measure(services: number, scope: string, network: string): Promise<Figures> {
  const upstream = await startUpstream();
  const names = Array.from({ length: services }, (_, index) => serviceName(index));
  const config = `apiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {scope: ${scope}}\n`;
  const yaml = config + names.map((_, index) => `---\n${serviceYaml(index, 90)}`).join("");
  const mesh = await startScopedMesh({ yaml, names, network, upstream, endpointsEach: ENDPOINTS });
  try {
    const [caller] = mesh.callers;
    if (caller === undefined) throw new Error("nobody calls");
    // Code that runs for the first time is not what is measured.
    await timed(caller, serviceName(services - 1));
    const called = names.slice(0, CALLED);
    const firstMs: number[] = [];
    for (const name of called) firstMs.push(await timed(caller, name));
    const laterMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) for (const name of called) laterMs.push(await timed(caller, name));
    await mesh.settled();
    const [bytes, resources] = [mesh.bytesSent(), mesh.resourcesSent()];
    const { allocated } = JSON.parse(await caller.admin("/memory"));
    await mesh.addCaller();
    return { bytes, resources, allocatedMb: Number(allocated) / 1e6, firstMs, laterMs, secondCopyBytes: mesh.bytesSent() - bytes };
  } finally {
    await mesh.close();
    await upstream.close();
  }
}

async function timed({ proxy }: Caller, host: string): Promise<number> {
  const startedMs = performance.now();
  const { status } = await ask(proxy, `http://${host}/`, { headers: { host } });
  if (status !== 200) throw new Error(`${host} was answered ${status}`);
  return performance.now() - startedMs;
}

console.log(`On ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), Node ${process.versions.node}.\n`);
console.log(
  "| services | scope | bytes to the proxy | resources | Envoy, allocated | first request: median, longest | later requests: median | bytes to a new copy |",
);
console.log("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const scope of values.scopes.split(",")) {
  for (const [index, services] of values.services.split(",").map(Number).entries()) {
    const figures = await measure(services, scope, `127.${200 + index + (scope === "all" ? 20 : 0)}`);
    const { bytes, resources, allocatedMb, firstMs, laterMs, secondCopyBytes } = figures;
    const first = `${median(firstMs).toFixed(1)} ms, ${Math.max(...firstMs).toFixed(1)} ms`;
    console.log(
      `| ${services.toLocaleString("en")} | \`${scope}\` | ${bytes.toLocaleString("en")} | ${resources} | ${allocatedMb.toFixed(1)} MB | ${first} | ${median(laterMs).toFixed(1)} ms | ${secondCopyBytes.toLocaleString("en")} |`,
    );
  }
}
