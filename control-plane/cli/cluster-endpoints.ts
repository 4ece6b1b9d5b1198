// The endpoints of one cluster, as a proxy's admin API lists them (`/clusters?format=json`). Pure.
// Source: Envoy, admin/v3/clusters.proto; fields of their default value are absent.
import { z } from "zod";
import { compareText } from "../model/diagnostic.ts";

/** One endpoint as this proxy sees it now. */
export interface ClusterEndpoint {
  /** `127.80.0.5:9090`. */
  readonly address: string;
  readonly zone: string;
  readonly healthy: boolean;
  /** `healthy`, or why it is not. */
  readonly health: string;
  /** 0 is taken first. */
  readonly priority: number;
  readonly weight: number;
}

const flag = z.boolean().optional();
const hostStatus = z.looseObject({
  address: z.looseObject({ socket_address: z.looseObject({ address: z.string(), port_value: z.number().default(0) }).optional() }).optional(),
  locality: z.looseObject({ zone: z.string().default("") }).optional(),
  priority: z.number().default(0),
  weight: z.number().default(1),
  health_status: z
    .looseObject({
      eds_health_status: z.string().default("HEALTHY"),
      failed_outlier_check: flag,
      failed_active_health_check: flag,
      pending_dynamic_removal: flag,
      pending_active_hc: flag,
    })
    .optional(),
});
const clusters = z.looseObject({ cluster_statuses: z.array(z.looseObject({ name: z.string(), host_statuses: z.array(hostStatus).default([]) })).default([]) });

/** Sorted by priority, zone, address; undefined where the proxy has no such cluster. Throws where the text is not what Envoy sends. */
export function endpointsOf(clustersJson: string, cluster: string): readonly ClusterEndpoint[] | undefined {
  const found = clusters.parse(JSON.parse(clustersJson)).cluster_statuses.find(({ name }) => name === cluster);
  const endpoints = found?.host_statuses.map((status) => {
    const health = healthOf(status.health_status);
    const at = status.address?.socket_address;
    return {
      address: at === undefined ? "(no address)" : `${at.address}:${at.port_value}`,
      zone: status.locality?.zone ?? "",
      healthy: health === "healthy",
      health,
      priority: status.priority,
      weight: status.weight,
    };
  });
  return endpoints?.sort((a, b) => a.priority - b.priority || compareText(a.zone, b.zone) || compareText(a.address, b.address));
}

function healthOf(status: z.output<typeof hostStatus>["health_status"]): string {
  if (status === undefined) return "healthy";
  if (status.failed_outlier_check === true) return "ejected (outlier detection)";
  if (status.failed_active_health_check === true) return "failed its health check";
  if (status.pending_dynamic_removal === true) return "being removed";
  if (status.pending_active_hc === true) return "not checked yet";
  return status.eds_health_status === "HEALTHY" || status.eds_health_status === "UNKNOWN" ? "healthy" : status.eds_health_status.toLowerCase();
}

/** Each endpoint counts 1.4-fold, so that a priority spills over only when less than 72 % of it is healthy. Source: Envoy, overprovisioning factor. */
const OVERPROVISIONING = 1.4;

/**
 * The share of each zone in percent, zones in byte order; empty where no endpoint is healthy. Priorities take what their healthy endpoints can bear, in order;
 * inside a priority endpoints count by weight. Source: Envoy, "Priority levels".
 */
export function zoneShares(endpoints: readonly ClusterEndpoint[]): readonly { readonly zone: string; readonly sharePercent: number }[] {
  const loads = priorityLoads(endpoints);
  const shares = new Map<string, number>();
  for (const { priority, loadPercent } of loads) {
    const serving = endpoints.filter((endpoint) => endpoint.priority === priority && endpoint.healthy);
    const sum = weightOf(serving);
    for (const { zone, weight } of serving) shares.set(zone, (shares.get(zone) ?? 0) + (loadPercent * weight) / sum);
  }
  return [...shares].map(([zone, sharePercent]) => ({ zone, sharePercent })).sort((a, b) => compareText(a.zone, b.zone));
}

function priorityLoads(endpoints: readonly ClusterEndpoint[]): readonly { readonly priority: number; readonly loadPercent: number }[] {
  const priorities = [...new Set(endpoints.map(({ priority }) => priority))].sort((a, b) => a - b);
  const bearable = priorities.map((priority) => {
    const members = endpoints.filter((endpoint) => endpoint.priority === priority);
    const healthy = members.filter((endpoint) => endpoint.healthy).length;
    return { priority, percent: Math.min(100, (100 * OVERPROVISIONING * healthy) / members.length) };
  });
  const total = Math.min(
    100,
    bearable.reduce((sum, { percent }) => sum + percent, 0),
  );
  let left = total;
  return bearable.flatMap(({ priority, percent }) => {
    const taken = Math.min(percent, left);
    left -= taken;
    return taken === 0 ? [] : [{ priority, loadPercent: (100 * taken) / total }];
  });
}

function weightOf(endpoints: readonly ClusterEndpoint[]): number {
  return endpoints.reduce((sum, { weight }) => sum + weight, 0);
}
