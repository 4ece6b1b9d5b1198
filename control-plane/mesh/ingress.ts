// Where a sidecar listens for its workload: at the ports that the workload has, or, where a Sidecar resource names ingress listeners, at those alone.
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel } from "../model/resource.ts";
import type { SidecarIngress } from "../model/sidecar.ts";
import type { InboundPort, ListenAddress, Proxy } from "./instance.ts";
import type { Mesh } from "./mesh.ts";
import { scopeOf } from "./scope.ts";

/**
 * The inbound listeners of a proxy. An ingress listener takes the place of the workload's port of its number, and leads to its `defaultEndpoint`.
 * Source: Istio reference, IstioIngressListener; buildSidecarInboundListeners.
 */
export function inboundPorts(mesh: Mesh, proxy: Proxy): readonly InboundPort[] {
  const { ingress } = scopeOf(mesh, proxy);
  if (ingress.length === 0) return proxy.inbound;
  return ingress.flatMap((listener): readonly InboundPort[] => {
    const bound = proxy.inbound.find(({ containerPort }) => containerPort === listener.port.number);
    return bound === undefined ? [] : [{ ...bound, application: applicationOf(proxy, listener, bound) }];
  });
}

/**
 * On a laptop the application's ports are not where the YAML says: a port that the workload declares is looked up, another one is taken as it is, at the
 * application's own address.
 */
function applicationOf(proxy: Proxy, { defaultEndpoint = "" }: SidecarIngress, bound: InboundPort): ListenAddress {
  const port = Number(/:(\d+)$/.exec(defaultEndpoint)?.[1] ?? Number.NaN);
  if (Number.isNaN(port)) return bound.application;
  const declared = proxy.inbound.find(({ containerPort }) => containerPort === port);
  return declared?.application ?? { address: bound.application.address, port };
}

/** Ingress listeners at ports that nobody leads to, and what of them Weft does not do. */
export function ingressListenersAreBound(mesh: Mesh): readonly Diagnostic[] {
  return mesh.sidecars.flatMap((sidecar) =>
    sidecar.spec.ingress.flatMap(({ port, defaultEndpoint = "" }, index): readonly Diagnostic[] => {
      const own = mesh.proxies.filter((proxy) => proxy.kind === "sidecar" && scopeOf(mesh, proxy).sidecar === sidecar);
      const finding = (field: string, what: string, fix: string): readonly Diagnostic[] => [
        { code: "WEFT0434", severity: "warning", origin: sidecar.locate(["spec", "ingress", index, field]), resource: resourceLabel(sidecar), what, fix },
      ];
      if (defaultEndpoint.startsWith("unix://")) {
        return finding(
          "defaultEndpoint",
          "a Unix socket as defaultEndpoint is not implemented: requests go to the workload's own port",
          "name a port of the workload",
        );
      }
      if (own.length === 0 || own.some(({ inbound }) => inbound.some(({ containerPort }) => containerPort === port.number))) return [];
      return finding(
        "port",
        `neither the workload nor a Service that selects it has port ${port.number}, so nothing listens there`,
        "give the Service this port as its targetPort",
      );
    }),
  );
}
