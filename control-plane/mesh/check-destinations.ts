// Whether what VirtualServices send to is there: host, port and subset of every destination.
import type { Diagnostic } from "../model/diagnostic.ts";
import { nearest } from "../model/nearest.ts";
import { type FieldPath, resourceLabel, type VirtualService } from "../model/resource.ts";
import { destinationsOf } from "./gateways.ts";
import { resolveHostname } from "./hosts.ts";
import type { Host, Mesh } from "./mesh.ts";
import { destinationRuleFor } from "./policy.ts";
import { visibleHost } from "./scope.ts";

/** Requests to what is not there are answered 503, as in Istio; the rest of the VirtualService serves. */
export function destinationsAreKnown(mesh: Mesh): readonly Diagnostic[] {
  return mesh.virtualServices.flatMap((virtualService) =>
    destinationsOf(virtualService).flatMap(({ destination, path }) => {
      const hostname = resolveHostname(mesh, destination.host, virtualService.namespace);
      const host = visibleHost(mesh, hostname, virtualService.namespace);
      if (host === undefined) return unknownHost(mesh, virtualService, [...path, "host"], destination.host, hostname);
      return [
        ...unknownPort(virtualService, path, host, destination.port?.number),
        ...(destination.subset === undefined || destination.subset === "" ? [] : unknownSubset(mesh, virtualService, path, hostname, destination.subset)),
      ];
    }),
  );
}

function finding(code: string, virtualService: VirtualService, path: FieldPath, what: string, fix: string): readonly Diagnostic[] {
  return [{ code, severity: "warning", origin: virtualService.locate(path), resource: resourceLabel(virtualService), what, fix }];
}

function unknownHost(mesh: Mesh, virtualService: VirtualService, path: FieldPath, written: string, hostname: string): readonly Diagnostic[] {
  if (mesh.hosts.has(hostname)) {
    const kind = mesh.hosts.get(hostname)?.service.kind ?? "Service";
    const what = `the ${kind} ${hostname} is not exported to namespace ${virtualService.namespace}, so requests to it are answered 503`;
    const where = kind === "Service" ? "the Service's annotation networking.istio.io/exportTo" : "exportTo of the ServiceEntry";
    return finding("WEFT0401", virtualService, path, what, `add the namespace to ${where}`);
  }
  const beside = [...mesh.hosts.values()].filter(({ namespace }) => namespace === virtualService.namespace).map(({ name }) => name);
  const sameName = [...mesh.hosts.values()].find(({ name }) => name === written);
  const near = sameName === undefined ? (nearest(written, beside) ?? nearest(written, mesh.hosts.keys())) : `${sameName.name}.${sameName.namespace}`;
  const what = `no Service or ServiceEntry is called ${hostname}, so requests to it are answered 503`;
  return finding("WEFT0401", virtualService, path, what, near === undefined ? "create the Service, or name one that exists" : `did you mean ${near}`);
}

function unknownPort(virtualService: VirtualService, path: FieldPath, host: Host, port: number | undefined): readonly Diagnostic[] {
  const numbers = host.ports.map(({ number, name }) => (name === "" ? `${number}` : `${number} (${name})`)).join(", ");
  if (port === undefined) {
    if (host.ports.length < 2) return [];
    const what = `the ${host.service.kind} ${host.hostname} has several ports (${numbers}), and the destination names none: the port that the request came to is taken`;
    return finding("WEFT0403", virtualService, path, what, "add port: {number: …} to the destination");
  }
  if (host.ports.some(({ number }) => number === port)) return [];
  const what = `the ${host.service.kind} ${host.hostname} has no port ${port}, so requests to it are answered 503`;
  return finding("WEFT0402", virtualService, [...path, "port", "number"], what, numbers === "" ? `give the ${host.service.kind} a port` : `use ${numbers}`);
}

function unknownSubset(mesh: Mesh, virtualService: VirtualService, path: FieldPath, hostname: string, subset: string): readonly Diagnostic[] {
  const rule = destinationRuleFor(mesh, { namespace: virtualService.namespace, labels: {} }, hostname);
  const names = rule?.spec.subsets.map(({ name }) => name) ?? [];
  if (names.includes(subset)) return [];
  const what =
    rule === undefined
      ? `no DestinationRule for ${hostname} defines the subset ${subset}, so requests to it are answered 503`
      : `${resourceLabel(rule)} has no subset ${subset}, so requests to it are answered 503`;
  const near = nearest(subset, names);
  const choose = names.length === 0 ? "define the subset in a DestinationRule, or leave subset out" : `use one of ${names.join(", ")}, or define it`;
  return finding("WEFT0404", virtualService, [...path, "subset"], what, near === undefined ? choose : `did you mean ${near}`);
}
