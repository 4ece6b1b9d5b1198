// What `weft up` prints once all is ready: where everything is reached, and what to try next. Pure.
import type { ReadyEvent } from "../local/events.ts";
import type { Style } from "./style.ts";
import { alignColumns } from "./table.ts";

/** `folder` as its user would type it. */
export function readyText(ready: ReadyEvent, folder: string, style: Style): string {
  const rows = [
    ...ready.workloads.map(({ instance, zone, url }) => [instance, zone || "-", url]),
    ...ready.gateways.flatMap(({ name, ports }) => ports.map(({ number, url }) => [`gateway ${name}`, `port ${number}`, url])),
  ];
  const missing = ready.workloads.flatMap(({ instance, notReady }) => (notReady === undefined ? [] : [`${instance} (${notReady})`]));
  const butFor = missing.length === 0 ? "" : `, but for ${missing.join(", ")}`;
  const lines = ["", style.bold(`${folder} is ready after ${(ready.elapsedMs / 1000).toFixed(1)} s${butFor}.`), ""];
  if (rows.length === 0) lines.push("  Nothing is to run: there is no Deployment and no Gateway yet.");
  lines.push(...alignColumns(rows).map((line) => `  ${line}`), "", "In a second terminal:");
  lines.push(...alignColumns(nextSteps(ready, folder)).map((line) => `  ${line}`));
  lines.push("", style.dim(`Edit any file of ${folder}: the change is in force at once, or refused with the line and the fix. Logs: ${ready.logs}`));
  lines.push("Ctrl-C ends everything.", "");
  return lines.join("\n");
}

/** Commands that work as they stand, with names of this mesh. */
function nextSteps(ready: ReadyEvent, folder: string): readonly (readonly [string, string])[] {
  const dir = `--dir ${/^[\w@%+=:,./-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", "'\\''")}'`}`;
  const first = ready.workloads[0];
  const steps: [string, string][] = [[`npx weft ps ${dir}`, "what runs, and where"]];
  if (first === undefined) return steps;
  steps.push([`npx weft logs -f ${dir}`, "what they write"]);
  steps.push([`npx weft stop ${first.workload} ${dir}`, "what happens without it; `start` brings it back"]);
  const explained = explainable(ready);
  if (explained !== undefined) steps.push([`npx weft explain --live --from ${explained.from} GET ${explained.url} ${dir}`, "where a request goes, and why"]);
  return steps;
}

/** Through the gateway where there is one, else from a workload to a service that is not its own. */
function explainable(ready: ReadyEvent): { readonly from: string; readonly url: string } | undefined {
  const port = ready.gateways[0]?.ports[0];
  if (port !== undefined) return { from: "ingressgateway", url: `${port.url}/` };
  for (const { workload, services } of ready.workloads.toReversed()) {
    const other = Object.keys(services).find((service) => !workload.startsWith(service.split(".")[0] ?? ""));
    if (other !== undefined) return { from: workload, url: `http://${shortName(other)}/` };
  }
  return undefined;
}

/** `order-history:9090` for `order-history.default.svc.cluster.local:9090`; other namespaces stay in the name. */
function shortName(service: string): string {
  return service.replace(/^([^.:]+)\.default\.svc\.[^:]*/, "$1").replace(/^([^.:]+\.[^.:]+)\.svc\.[^:]*/, "$1");
}
