// The clusters that a route may forward a request to, each with its share, and which of them this request gets.
import type { RouteAction, WeightedCluster, WeightedCluster_ClusterWeight } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { parseInteger } from "./condition.ts";
import { headerValues, type SimulatedRequest } from "./request.ts";

/** One cluster of a route. */
export interface ClusterChoice {
  /** Undefined where the header that is to name it is absent: the proxy then knows no cluster. */
  readonly cluster: string | undefined;
  /** Of all requests that this route takes, from 0 to 1. */
  readonly share: number;
  /** The entry's own operations, where the route is weighted. */
  readonly destination?: WeightedCluster_ClusterWeight;
}

/** The clusters of a route in its order, and the index of the one that this request gets. */
export interface ClusterChoices {
  readonly choices: readonly ClusterChoice[];
  readonly chosen: number;
  /** What chose: nothing where there is one cluster, a header that names it, a pick in a header, or the proxy's random number. */
  readonly by: "nothing" | "header" | "pick" | "random number";
}

/** The clusters of an action; undefined where an extension chooses, which only the proxy has. */
export function clusterChoices(action: RouteAction, request: SimulatedRequest): ClusterChoices | undefined {
  const { clusterSpecifier: specifier } = action;
  switch (specifier.case) {
    case "cluster":
      return { choices: [{ cluster: specifier.value, share: 1 }], chosen: 0, by: "nothing" };
    case "clusterHeader":
      return { choices: [{ cluster: headerValues(request, specifier.value)[0], share: 1 }], chosen: 0, by: "header" };
    case "weightedClusters":
      return weightedChoices(specifier.value, request);
    case "clusterSpecifierPlugin":
    case "inlineClusterSpecifierPlugin":
    case undefined:
      return undefined;
  }
}

/**
 * A point below the sum of the weights chooses the entry whose interval holds it: the number in the route's header where the request has exactly one, else the
 * proxy's random number. Source: weighted_cluster_specifier.cc.
 */
function weightedChoices(weighted: WeightedCluster, request: SimulatedRequest): ClusterChoices {
  const weights = weighted.clusters.map(({ weight }) => weight ?? 0);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const pick = pickOf(weighted, request);
  const point = Number((pick ?? BigInt(request.random)) % BigInt(Math.max(1, sum)));
  let end = 0;
  const chosen = weights.findIndex((weight) => {
    end += weight;
    return point < end;
  });
  const choices = weighted.clusters.map((destination, index) => ({
    cluster: destination.name !== "" ? destination.name : headerValues(request, destination.clusterHeader)[0],
    share: (weights[index] ?? 0) / Math.max(1, sum),
    destination,
  }));
  return { choices, chosen, by: pick === undefined ? "random number" : "pick" };
}

function pickOf(weighted: WeightedCluster, request: SimulatedRequest): bigint | undefined {
  const { randomValueSpecifier: specifier } = weighted;
  const values = specifier.case === "headerName" && specifier.value !== "" ? headerValues(request, specifier.value) : [];
  return values.length === 1 ? parseUnsigned(values[0] ?? "") : undefined;
}

function parseUnsigned(text: string): bigint | undefined {
  const unsigned = /^\s*\+?(\d+)\s*$/.exec(text)?.[1];
  if (unsigned === undefined) return parseInteger(text) === 0n ? 0n : undefined;
  const value = BigInt(unsigned);
  return value < 2n ** 64n ? value : undefined;
}
