// How traffic to a workload's own port is read: as the Services say that lead to it.
import type { InboundPort, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { isHttp, protocolOf, selects } from "../mesh/services.ts";

/** True for HTTP: where a Service's port says so, or where no Service leads to the port. */
export function inboundIsHttp(mesh: Mesh, proxy: Proxy, { containerPort, listen }: InboundPort): boolean {
  const names = mesh.instances
    .filter(({ namespace, address }) => namespace === proxy.namespace && address === listen.address)
    .flatMap(({ ports }) => ports.flatMap((port) => (port.containerPort === containerPort && port.name !== undefined ? [port.name] : [])));
  const protocols = [...mesh.hosts.values()].flatMap(({ namespace, service }) =>
    namespace === proxy.namespace && selects(service.spec.selector, proxy.labels)
      ? service.spec.ports
          .filter(({ port, targetPort = port }) => targetPort === containerPort || (typeof targetPort === "string" && names.includes(targetPort)))
          .map(protocolOf)
      : [],
  );
  return protocols.length === 0 || protocols.some(isHttp);
}
