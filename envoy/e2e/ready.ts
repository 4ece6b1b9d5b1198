// Reads addresses out of the `ready` event of `weft up --output json`.
import type { ReadyEvent } from "../../control-plane/local/events.ts";

type ReadyWorkload = ReadyEvent["workloads"][number];

/** The first instance of a workload. Throws when there is none. */
export function workloadNamed(ready: ReadyEvent, workload: string): ReadyWorkload {
  const found = ready.workloads.find((candidate) => candidate.workload === workload);
  if (found === undefined) throw new Error(`no workload ${workload} among ${ready.workloads.map((candidate) => candidate.workload).join(", ")}`);
  return found;
}

/** Where a workload's sidecar listens for one service, as `http://address:port`. */
export function serviceUrl(ready: ReadyEvent, workload: string, service: string): string {
  const { services } = workloadNamed(ready, workload);
  const found = Object.entries(services).find(([name]) => name.startsWith(service));
  if (found === undefined) throw new Error(`${workload} has no listener for ${service}: ${Object.keys(services).join(", ")}`);
  return found[1].startsWith("http") ? found[1] : `http://${found[1]}`;
}

/** URL of the ingress gateway's first port. */
export function gatewayUrl(ready: ReadyEvent): string {
  const url = ready.gateways[0]?.ports[0]?.url;
  if (url === undefined) throw new Error("the mesh has no gateway");
  return url;
}
