// From ServiceEntries to hosts: one for each of their names, with the endpoints that they write, select, or leave to DNS.
import type { ServiceEntry } from "../model/resource.ts";
import type { ServiceEntryPort } from "../model/service-entry.ts";
import { compareEndpoints } from "./endpoints.ts";
import type { Instance } from "./instance.ts";
import type { Endpoint, Host, Resolution } from "./mesh.ts";
import { serviceAccountsOf } from "./mutual-tls.ts";
import type { Selection } from "./selection.ts";
import { protocolNamed, protocolOfName } from "./services.ts";
import { inlineInstance, UNIX_PREFIX, weightOf } from "./workload-entries.ts";

/** Source: Istio, serviceentry convertServices. */
const RESOLUTIONS: Readonly<Record<ServiceEntry["spec"]["resolution"], Resolution>> = {
  NONE: "original",
  STATIC: "known",
  DNS: "dns",
  DNS_ROUND_ROBIN: "dns-round-robin",
  DYNAMIC_DNS: "dynamic-dns",
};

/** The hosts of one ServiceEntry. `select` finds pods and WorkloadEntries alike. */
export function entryHosts(entry: ServiceEntry, select: Selection): readonly Host[] {
  const { spec, namespace } = entry;
  const resolution = RESOLUTIONS[spec.resolution];
  const ports = spec.ports.map((port) => ({
    name: port.name,
    number: port.number,
    protocol: protocolNamed(port.protocol) ?? protocolOfName(port.name) ?? "http",
    ...(port.targetPort === undefined ? {} : { targetPort: port.targetPort }),
  }));
  return [...new Set(spec.hosts.map((host) => host.toLowerCase()))].map((hostname) => {
    const all = instancesOf(entry, hostname, resolution, select);
    const instances = all.filter(({ ready }) => ready);
    return {
      hostname,
      name: hostname,
      namespace,
      ports,
      endpoints: new Map(spec.ports.map((port) => [port.number, instances.map((instance) => endpointAt(instance, port)).sort(compareEndpoints)])),
      resolution,
      exportTo: spec.exportTo,
      external: spec.location === "MESH_EXTERNAL",
      addresses: spec.addresses,
      subjectAltNames: spec.subjectAltNames,
      serviceAccounts: serviceAccountsOf(all),
      service: entry,
    };
  });
}

/** A host that is found by DNS and has no endpoints written is its own endpoint. Source: Istio, convertServiceEntryToInstances. */
function instancesOf(entry: ServiceEntry, hostname: string, resolution: Resolution, select: Selection): readonly Instance[] {
  const { spec, name, namespace } = entry;
  if (spec.workloadSelector !== undefined) return select(namespace, spec.workloadSelector.labels);
  const byName = resolution === "dns" || resolution === "dns-round-robin";
  if (spec.endpoints.length === 0 && byName && !hostname.startsWith("*")) {
    return [inlineInstance({ address: hostname, ports: {}, labels: {} }, name, namespace, 0)];
  }
  return spec.endpoints.map((endpoint, index) => inlineInstance(endpoint, name, namespace, index));
}

/** Source: Istio, convertWorkloadInstanceToServiceInstance: a socket has no port; else the workload's port of that name, the target port, the port. */
function endpointAt(instance: Instance, port: ServiceEntryPort): Endpoint {
  const weight = weightOf(instance);
  if (instance.address.startsWith(UNIX_PREFIX)) return { instance, address: instance.address, port: 0, weight };
  const target = port.targetPort ?? port.number;
  const declared = instance.ports.find(({ name }) => name === port.name) ?? instance.ports.find(({ containerPort }) => containerPort === target);
  return { instance, address: instance.address, port: declared?.boundPort ?? target, weight };
}
