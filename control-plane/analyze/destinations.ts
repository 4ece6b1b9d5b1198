// Where VirtualServices send requests: hosts and ports that are not there, ports that are not told, subsets that nobody declares (IST0101, IST0112),
// and gateway routes that leave out a host's subsets (IST0140). Source: Istio analyzers/virtualservice, destinationhosts.go and destinationrules.go.
import type { FieldPath, VirtualService } from "../model/resource.ts";
import type { Destination } from "../model/virtual-service.ts";
import { type Finding, notFound } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";
import { findHost, knownHosts, qualifiedHost } from "./service-hosts.ts";

interface Use {
  readonly destination: Destination;
  readonly path: FieldPath;
  readonly isMirror: boolean;
}

/** Every destination of a VirtualService, mirrors included. */
function destinationsOf({ spec }: VirtualService): readonly Use[] {
  const routes = (["tcp", "tls", "http"] as const).flatMap((kind) =>
    spec[kind].flatMap(({ route }, index) =>
      route.map(({ destination }, position): Use => ({ destination, path: ["spec", kind, index, "route", position, "destination"], isMirror: false })),
    ),
  );
  const mirrors = spec.http.flatMap(({ mirror, mirrors: several }, index) => [
    ...(mirror === undefined ? [] : [{ destination: mirror, path: ["spec", "http", index, "mirror"], isMirror: true }]),
    ...several.map(({ destination }, position): Use => ({ destination, path: ["spec", "http", index, "mirrors", position, "destination"], isMirror: true })),
  ]);
  return [...routes, ...mirrors];
}

/** Hosts and ports. */
export function destinationHosts(input: AnalysisInput): readonly Finding[] {
  const hosts = knownHosts(input);
  return input.virtualServices.flatMap((service) =>
    destinationsOf(service).flatMap(({ destination, path, isMirror }): readonly Finding[] => {
      const { host, port } = destination;
      const known = findHost(hosts, host, service.namespace, service.spec.exportTo);
      if (known === undefined) {
        const what = `${isMirror ? "the mirror" : "the destination"} ${host} is no Service and no ServiceEntry that namespace ${service.namespace} sees`;
        return [notFound(service, [...path, "host"], what, "correct the host, or create the Service")];
      }
      const ports = known.ports.join(", ");
      if (port === undefined) {
        if (known.ports.length < 2) return [];
        const what = `${host} has the ports ${ports}, and the destination names none`;
        return [{ code: "IST0112", severity: "error", subject: service, path, what, fix: "add `port: {number: …}`" }];
      }
      if (known.ports.includes(port.number)) return [];
      return [notFound(service, [...path, "port", "number"], `${host} has no port ${port.number}`, ports === "" ? "give it a port" : `use ${ports}`)];
    }),
  );
}

/** A route at a gateway to a host as a whole does not follow the mesh's routes to its subsets. */
export function ingressSubsets({ virtualServices }: AnalysisInput): readonly Finding[] {
  const split = virtualServices.flatMap((service) =>
    service.spec.http
      .flatMap(({ route }) => route)
      .filter(({ destination }) => (destination.subset ?? "") !== "")
      .flatMap(({ destination }) => service.spec.hosts.filter((host) => host === destination.host).map((host) => ({ service, host }))),
  );
  return virtualServices
    .filter(({ spec }) => spec.gateways.length > 0)
    .flatMap((service) =>
      destinationsOf(service)
        .filter(({ path, isMirror, destination }) => !isMirror && path[1] === "http" && (destination.subset ?? "") === "")
        .flatMap(({ destination, path }) =>
          split
            .filter(({ host }) => host === destination.host)
            .map((other): Finding => {
              const what = `this route goes to all of ${destination.host}: the subsets of ${other.service.namespace}/${other.service.name} hold within the mesh alone`;
              return { code: "IST0140", severity: "warning", subject: service, path, what, fix: "route to the subsets here too" };
            }),
        ),
    );
}

/** Subsets. */
export function destinationSubsets({ virtualServices, destinationRules }: AnalysisInput): readonly Finding[] {
  const declared = new Set(destinationRules.flatMap(({ namespace, spec }) => spec.subsets.map(({ name }) => `${qualifiedHost(spec.host, namespace)}|${name}`)));
  return virtualServices.flatMap((service) =>
    destinationsOf(service).flatMap(({ destination, path }): readonly Finding[] => {
      const { host, subset = "" } = destination;
      if (subset === "" || declared.has(`${qualifiedHost(host, service.namespace)}|${subset}`)) return [];
      return [notFound(service, [...path, "subset"], `no DestinationRule declares the subset ${subset} of ${host}`, "declare it, or correct its name")];
    }),
  );
}
