// `npm run bench:scale -- [--only unscoped,sidecar,large,growth] [--streams N] [--profile DIR]`: the real control plane and streams that behave as Envoys do,
// each in a process of its own. Progress goes to standard error, Markdown to standard output; `growth` also writes docs/growth.svg. Nothing here is a gate.
import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Cost, type Measurement, measure } from "./measure.ts";
import { growthPlot } from "./plot.ts";
import type { MeshSize } from "./service-mesh.ts";

const PLOT = fileURLToPath(new URL("../../../docs/growth.svg", import.meta.url));

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "unscoped,sidecar,large,growth" },
    services: { type: "string" },
    streams: { type: "string" },
    profile: { type: "string" },
  },
});
const only = new Set(values.only.split(","));

const progress = (line: string): void => console.error(`  ${line}`);

async function measured(size: MeshSize): Promise<Measurement> {
  const services = Number(values.services ?? size.services);
  const proxies = Number(values.streams ?? size.proxies);
  console.error(`${services} services, ${proxies} streams, ${size.scope}`);
  return measure({ ...size, services, proxies }, { ...(values.profile === undefined ? {} : { profile: values.profile }), onProgress: progress });
}

function row(name: string, { elapsedMs, cpuSeconds, medianBytes, resources, streams }: Cost): string {
  const perStream = streams === 0 ? 0 : resources / streams;
  return `| ${name} | ${Math.round(elapsedMs).toLocaleString("en")} ms | ${cpuSeconds.toFixed(2)} s | ${medianBytes.toLocaleString("en")} B | ${perStream.toFixed(1)} |`;
}

function report({ size, firstSync, weightChange, endpointChange, reconnect, memoryMb }: Measurement): string {
  return [
    `${size.services.toLocaleString("en")} services, ${size.proxies.toLocaleString("en")} streams, ${size.scope === "sidecar" ? "each scoped by a Sidecar to 10 services" : "unscoped"}: ` +
      `${memoryMb.steady.toFixed(0)} MB resident, ${memoryMb.peak.toFixed(0)} MB at the highest.`,
    "",
    "| what | until the last stream has it | CPU | per stream, median | resources per stream |",
    "| --- | ---: | ---: | ---: | ---: |",
    row("first sync", firstSync),
    row("one weight on disk", weightChange),
    row("one endpoint", endpointChange),
    row("reconnect of all, nothing changed", reconnect),
    "",
  ].join("\n");
}

console.log(`On ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), Node ${process.versions.node}.\n`);
if (only.has("unscoped")) console.log(report(await measured({ services: 1_000, proxies: 100, scope: "unscoped" })));
if (only.has("sidecar")) console.log(report(await measured({ services: 1_000, proxies: 1_000, scope: "sidecar" })));
if (only.has("large")) console.log(report(await measured({ services: 5_000, proxies: 1_000, scope: "sidecar" })));
if (only.has("growth")) {
  const measurements: Measurement[] = [];
  for (const services of [100, 300, 1_000, 3_000]) measurements.push(await measure({ services, proxies: 20, scope: "unscoped" }, { onProgress: progress }));
  await writeFile(PLOT, growthPlot(measurements));
  console.error(`wrote ${PLOT}`);
}
