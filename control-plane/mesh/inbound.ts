// What is known about a workload's own port: which protocol its Services say it speaks.
import type { Instance, Proxy } from "./instance.ts";
import type { Mesh, PortProtocol } from "./mesh.ts";
import { protocolOf, selects } from "./services.ts";

/** The protocol of a container port behind a proxy: what the first Service (by name) that leads to it says; HTTP where none does. */
export function inboundProtocol(mesh: Mesh, proxy: Proxy, containerPort: number): PortProtocol {
  const instance = mesh.instances.find(({ namespace, workload }) => namespace === proxy.namespace && workload === proxy.workload);
  for (const { namespace, service } of mesh.hosts.values()) {
    if (namespace !== proxy.namespace || !selects(service.spec.selector, proxy.labels)) continue;
    const port = service.spec.ports.find((candidate) => leadsTo(candidate.targetPort ?? candidate.port, containerPort, instance));
    if (port !== undefined) return protocolOf(port);
  }
  return "http";
}

function leadsTo(targetPort: number | string, containerPort: number, instance: Instance | undefined): boolean {
  if (typeof targetPort === "number") return targetPort === containerPort;
  return instance?.ports.some((port) => port.name === targetPort && port.containerPort === containerPort) ?? false;
}
