// Whether VirtualServices and Gateways find each other, and Gateways a proxy.
import type { Diagnostic } from "../model/diagnostic.ts";
import { nearest } from "../model/nearest.ts";
import { resourceLabel } from "../model/resource.ts";
import { serversAt } from "./gateway-servers.ts";
import { gatewayKey, MESH_GATEWAY, servesGateway } from "./gateways.ts";
import type { Mesh } from "./mesh.ts";

/** A VirtualService that names a Gateway that is not there has no effect through it. */
export function gatewaysExist(mesh: Mesh): readonly Diagnostic[] {
  const known = new Set(mesh.gateways.map(({ namespace, name }) => `${namespace}/${name}`));
  return mesh.virtualServices.flatMap((virtualService) =>
    virtualService.spec.gateways.flatMap((written, index): readonly Diagnostic[] => {
      const key = gatewayKey(written, virtualService.namespace);
      if (written === MESH_GATEWAY || known.has(key)) return [];
      const beside = [...known]
        .filter((name) => name.startsWith(`${virtualService.namespace}/`))
        .map((name) => name.slice(virtualService.namespace.length + 1));
      const near = nearest(written, [...beside, MESH_GATEWAY]) ?? nearest(key, known) ?? [...known].find((name) => name.endsWith(`/${written}`));
      return [
        {
          code: "WEFT0407",
          severity: "warning",
          origin: virtualService.locate(["spec", "gateways", index]),
          resource: resourceLabel(virtualService),
          what: `there is no Gateway ${key}, so no request comes through it`,
          fix: near === undefined ? "create the Gateway, or name one that exists" : `did you mean ${near}`,
        },
      ];
    }),
  );
}

/** A Gateway whose labels no gateway proxy carries listens nowhere. Silent while nothing runs. */
export function gatewaysAreServed(mesh: Mesh): readonly Diagnostic[] {
  if (mesh.proxies.length === 0) return [];
  return mesh.gateways.flatMap((gateway): readonly Diagnostic[] => {
    if (mesh.proxies.some((proxy) => servesGateway(proxy, gateway))) return [];
    const selector = Object.entries(gateway.spec.selector).map(([key, value]) => `${key}: ${value}`);
    return [
      {
        code: "WEFT0410",
        severity: "warning",
        origin: gateway.locate(["spec", "selector"]),
        resource: resourceLabel(gateway),
        what: `no gateway proxy carries the labels {${selector.join(", ")}}, so nothing listens for this Gateway`,
        fix: "use the labels of a gateway proxy that runs (istio: ingressgateway)",
      },
    ];
  });
}

/** Servers that a running gateway proxy cannot serve: no certificate, a port that speaks another protocol already, a mode that Weft has not. */
export function serversCanBeServed(mesh: Mesh): readonly Diagnostic[] {
  const findings = new Map<string, Diagnostic>();
  for (const proxy of mesh.proxies.filter(({ kind }) => kind === "gateway")) {
    const ports = mesh.gateways.filter((gateway) => servesGateway(proxy, gateway)).flatMap(({ spec }) => spec.servers.map(({ port }) => port.number));
    for (const number of new Set(ports)) {
      for (const { gateway, index, field, what, fix } of serversAt(mesh, proxy, number).problems) {
        const origin = gateway.locate(["spec", "servers", index, ...field]);
        findings.set(`${resourceLabel(gateway)} ${index}`, { code: "WEFT0432", severity: "warning", origin, resource: resourceLabel(gateway), what, fix });
      }
    }
  }
  return [...findings.values()];
}
