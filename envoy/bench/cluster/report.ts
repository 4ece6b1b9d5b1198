// A measurement against a real API server as Markdown.
import type { ClusterCost, ClusterMeasurement } from "./measure.ts";

/** One table, and what it was measured on. */
export function clusterReport({
  size,
  filledMs,
  readyMs,
  readyCpuSeconds,
  firstSync,
  endpointChanges,
  weightChanges,
  churn,
  memoryMb,
}: ClusterMeasurement): string {
  const number = (value: number): string => value.toLocaleString("en");
  const row = (name: string, { elapsedMs, cpuSeconds, medianBytes, streams }: ClusterCost): string =>
    `| ${name} | ${number(Math.round(elapsedMs))} ms | ${cpuSeconds.toFixed(2)} s | ${number(medianBytes)} B to each of ${number(streams)} |`;
  return [
    `A real API server with ${number(size.services)} Services (a VirtualService and a DestinationRule each), ${number(size.services * size.podsPerService)} pods, and ` +
      `${number(size.proxies)} proxies with TLS and tokens, each scoped by a Sidecar to 10 services. Filled in ${(filledMs / 1_000).toFixed(0)} s.`,
    "",
    "| what | until the last stream has it | CPU of the control plane | |",
    "| --- | ---: | ---: | ---: |",
    `| start of the process → ready to serve | ${number(Math.round(readyMs))} ms | ${readyCpuSeconds.toFixed(1)} s | |`,
    row("first sync", firstSync),
    ...endpointChanges.map((cost, index) => row(`one endpoint, time ${index + 1}`, cost)),
    ...weightChanges.map((cost, index) => row(`one weight, time ${index + 1}`, cost)),
    "",
    `Memory: ${memoryMb.steady.toFixed(0)} MB resident, ${memoryMb.peak.toFixed(0)} MB at the highest.`,
    "",
    `Churn: ${number(churn.changes)} changes of pods in ${churn.seconds.toFixed(0)} s (${(churn.changes / churn.seconds).toFixed(0)} a second): ${churn.cpuShare.toFixed(2)} of a core, ` +
      `${number(churn.publications)} publications, ${churn.memoryMb.map((megabytes) => megabytes.toFixed(0)).join(", ")} MB at each fifth of it. A fresh control plane then had ` +
      `${number(churn.lost)} resources to send to a proxy that followed all of it.`,
  ].join("\n");
}
