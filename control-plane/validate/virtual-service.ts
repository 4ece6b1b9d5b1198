// A VirtualService as a whole: hosts, gateways, and that it routes something. Source: Istio ValidateVirtualService.
import type { FieldPath, VirtualService } from "../model/resource.ts";
import type { VirtualServiceSpec } from "../model/virtual-service.ts";
import { checkExportTo } from "./export-to.ts";
import { checkGatewayNames } from "./gateway-names.ts";
import { isClaim } from "./headers.ts";
import { checkHttpRoute } from "./http-route.ts";
import { checkTcpRoute, checkTlsRoute } from "./l4-routes.ts";
import { hostsOverlap, isGeneratedSniHost, isIpAddress, wildcardDomainFault } from "./names.ts";
import { error, type Problem } from "./problem.ts";
import { checkUnreachable } from "./unreachable.ts";

const SPEC: FieldPath = ["spec"];
/** The gateway's name that stands for every sidecar. */
const MESH = "mesh";

/** Everything that a VirtualService by itself can get wrong. */
export function checkVirtualService(virtualService: Pick<VirtualService, "namespace" | "spec">): readonly Problem[] {
  const { spec, namespace } = virtualService;
  const isDelegate = spec.hosts.length === 0;
  const atGateway = spec.gateways.length > 0 && !spec.gateways.includes(MESH);
  return [
    ...(isDelegate ? checkDelegate(spec) : checkHosts(spec, atGateway)),
    ...checkGatewayNames(spec.gateways, [...SPEC, "gateways"]),
    ...(atGateway ? [] : checkClaims(spec)),
    ...(spec.http.length + spec.tls.length + spec.tcp.length === 0
      ? [error("WEFT0350", SPEC, "the VirtualService has no routes", "add `http:` with at least one route")]
      : []),
    ...spec.http.flatMap((route, index) => checkHttpRoute(route, [...SPEC, "http", index], isDelegate)),
    ...spec.tls.flatMap((route, index) => checkTlsRoute(route, spec.hosts, !spec.gateways.includes(MESH), [...SPEC, "tls", index])),
    ...spec.tcp.flatMap((route, index) => checkTcpRoute(route, [...SPEC, "tcp", index])),
    ...checkExportTo(spec.exportTo, namespace, [...SPEC, "exportTo"]),
    ...checkUnreachable(spec),
  ];
}

function checkDelegate(spec: VirtualServiceSpec): readonly Problem[] {
  return (["gateways", "tls", "tcp"] as const)
    .filter((field) => spec[field].length > 0)
    .map((field) =>
      error("WEFT0351", [...SPEC, field], `a VirtualService without hosts is one that others delegate to, and takes no ${field}`, "add `hosts:`, or remove it"),
    );
}

function checkHosts(spec: VirtualServiceSpec, atGateway: boolean): readonly Problem[] {
  const hasSniHosts = spec.tls.some(({ match }) => match.some(({ sniHosts }) => sniHosts.length > 0));
  const faults = spec.hosts.flatMap((host, index) => {
    const path = [...SPEC, "hosts", index];
    if (host === "*" && !atGateway) {
      return [
        error("WEFT0352", path, "the host * would take all traffic of the mesh", "name the hosts, or bind the VirtualService to a gateway with `gateways:`"),
      ];
    }
    const allowed = isIpAddress(host) || (atGateway && hasSniHosts && isGeneratedSniHost(host));
    const fault = allowed ? undefined : wildcardDomainFault(host);
    return fault === undefined ? [] : [error("WEFT0352", path, fault, "write a service's name, a host name, or *.example.com")];
  });
  return faults.length > 0 ? faults : checkOverlaps(spec.hosts);
}

function checkOverlaps(hosts: readonly string[]): readonly Problem[] {
  return hosts.flatMap((host, index) => {
    const first = hosts.slice(0, index).find((other) => hostsOverlap(other, host));
    if (first === undefined) return [];
    const what = first === host ? `the host "${host}" stands twice` : `the hosts "${first}" and "${host}" overlap`;
    return [error("WEFT0353", [...SPEC, "hosts", index], what, "keep the one that is meant")];
  });
}

/** Claims of a token are checked where a token is: at a gateway. */
function checkClaims(spec: VirtualServiceSpec): readonly Problem[] {
  return spec.http.flatMap(({ match }, route) =>
    match.flatMap((conditions, index) =>
      (["headers", "withoutHeaders"] as const).flatMap((field) =>
        Object.keys(conditions[field])
          .filter(isClaim)
          .map((name) =>
            error(
              "WEFT0354",
              [...SPEC, "http", route, "match", index, field, name],
              "a match on a claim of a token works at a gateway only",
              "bind the VirtualService to a gateway with `gateways:`",
            ),
          ),
      ),
    ),
  );
}
