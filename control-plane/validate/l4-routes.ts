// TLS and TCP routes of a VirtualService. Source: Istio validateTLSRoute, validateTCPRoute.
import type { FieldPath } from "../model/resource.ts";
import type { VirtualServiceSpec } from "../model/virtual-service.ts";
import { checkDestination, checkWeights } from "./destinations.ts";
import { checkGatewayNames } from "./gateway-names.ts";
import { isGeneratedSniHost, isHostSubset, isIpAddress, labelsOfFault, subnetFault, wildcardDomainFault } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";

type TlsRoute = VirtualServiceSpec["tls"][number];
type TcpRoute = VirtualServiceSpec["tcp"][number];

/** A TLS route: matched by SNI. `atGateway`: the VirtualService does not serve the mesh. */
export function checkTlsRoute(route: TlsRoute, hosts: readonly string[], atGateway: boolean, path: FieldPath): readonly Problem[] {
  return [
    ...(route.match.length === 0 ? [error("WEFT0343", path, "a TLS route needs a match", "add `match:` with `- sniHosts: […]`")] : []),
    ...route.match.flatMap((match, index) => {
      const at = [...path, "match", index];
      return [
        ...(match.sniHosts.length === 0 ? [error("WEFT0343", at, "a TLS match needs sniHosts", "add `sniHosts: […]`")] : []),
        ...match.sniHosts.flatMap((host, position) => checkSniHost(host, hosts, atGateway, [...at, "sniHosts", position])),
        ...checkL4Match(match, at),
      ];
    }),
    ...checkL4Destinations(route, "TLS", path),
  ];
}

function checkSniHost(host: string, hosts: readonly string[], atGateway: boolean, path: FieldPath): readonly Problem[] {
  const fault = atGateway && isGeneratedSniHost(host) ? undefined : wildcardDomainFault(host);
  if (fault !== undefined && isIpAddress(host))
    return [warning("WEFT0344", path, `SNI carries no IP address, and most clients send none for "${host}"`, "use a host name")];
  if (fault !== undefined) return [error("WEFT0344", path, fault, "write a host name, or *.example.com")];
  if (hosts.some((of) => isHostSubset(host, of))) return [];
  return [error("WEFT0344", path, `the SNI host "${host}" is none of the hosts of this VirtualService (${hosts.join(", ")})`, "add it to `hosts`")];
}

/** A TCP route. */
export function checkTcpRoute(route: TcpRoute, path: FieldPath): readonly Problem[] {
  return [...route.match.flatMap((match, index) => checkL4Match(match, [...path, "match", index])), ...checkL4Destinations(route, "TCP", path)];
}

function checkL4Match(match: TcpRoute["match"][number] | TlsRoute["match"][number], path: FieldPath): readonly Problem[] {
  const labels = labelsOfFault(match.sourceLabels);
  return [
    ...match.destinationSubnets.flatMap((subnet, index) => {
      const fault = subnetFault(subnet);
      return fault === undefined ? [] : [error("WEFT0345", [...path, "destinationSubnets", index], fault, "write an address, or a block such as 10.0.0.0/8")];
    }),
    ...(labels === undefined ? [] : [error("WEFT0336", [...path, "sourceLabels"], labels, "use letters, digits, -, _ and ., at most 63")]),
    ...checkGatewayNames(match.gateways, [...path, "gateways"]),
  ];
}

function checkL4Destinations(route: TcpRoute | TlsRoute, kind: string, path: FieldPath): readonly Problem[] {
  return [
    ...(route.route.length === 0 ? [error("WEFT0341", path, `the ${kind} route sends connections nowhere`, "add `route:` with a destination")] : []),
    ...route.route.flatMap(({ destination }, index) => checkDestination(destination, [...path, "route", index, "destination"])),
    ...checkWeights(route.route, [...path, "route"]),
  ];
}
