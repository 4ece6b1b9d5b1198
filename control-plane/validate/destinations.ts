// Where routes send traffic: one destination, and a list of them with weights. Source: Istio validateDestination, validateHTTPRouteDestinations.
import type { FieldPath } from "../model/resource.ts";
import type { Destination, HttpRouteDestination } from "../model/virtual-service.ts";
import { checkHeaders } from "./headers.ts";
import { isDnsLabel, wildcardDomainFault } from "./names.ts";
import { error, type Problem } from "./problem.ts";

/** A destination's host, subset and port. */
export function checkDestination(destination: Destination | undefined, path: FieldPath): readonly Problem[] {
  if (destination === undefined) return [];
  const { host, subset, port } = destination;
  const problems: Problem[] = [];
  const fault = host === "*" ? "a destination cannot be every host (*)" : wildcardDomainFault(host);
  if (fault !== undefined) problems.push(error("WEFT0330", [...path, "host"], fault, "name a service, such as reviews or reviews.default.svc.cluster.local"));
  if (subset !== undefined && subset !== "" && !isDnsLabel(subset)) {
    problems.push(error("WEFT0331", [...path, "subset"], `"${subset}" is not the name of a subset`, "use letters, digits and -, at most 63"));
  }
  if (port !== undefined && (port.number === undefined || port.number === 0)) {
    problems.push(error("WEFT0332", [...path, "port"], "the port has no number", "write `port: {number: 80}`, or remove the port"));
  }
  return problems;
}

/** The destinations of an HTTP route with their weights and headers. */
export function checkHttpDestinations(destinations: readonly HttpRouteDestination[], path: FieldPath): readonly Problem[] {
  return [
    ...destinations.flatMap(({ destination, headers }, index) => [
      ...checkDestination(destination, [...path, index, "destination"]),
      ...checkHeaders(headers, [...path, index, "headers"]),
    ]),
    ...checkWeights(destinations, path),
  ];
}

/** The weights of several destinations: relative, so that all zero leaves nowhere to send traffic. */
export function checkWeights(destinations: readonly { readonly weight: number }[], path: FieldPath): readonly Problem[] {
  if (destinations.length < 2 || destinations.some(({ weight }) => weight > 0)) return [];
  return [error("WEFT0333", path, "all destinations have weight 0", "give at least one a weight above 0")];
}
