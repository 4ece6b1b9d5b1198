// Gateways whose pods do not exist (IST0101), or whose port no Service of those pods opens (IST0162). Source: Istio analyzers/gateway, gateway.go.
import type { Gateway } from "../model/resource.ts";
import { type Finding, notFound } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";
import { selectorText, selects } from "./selection.ts";

export function gatewayPorts(input: AnalysisInput): readonly Finding[] {
  return input.gateways.flatMap((gateway) => {
    const { selector, servers } = gateway.spec;
    const pods = input.pods.filter(({ labels }) => selects(selector, labels));
    if (pods.length === 0) return [selectorNotFound(gateway)];
    const open = openPorts(input, pods);
    return servers.flatMap(({ port }, index): readonly Finding[] => {
      if (open.has(port.number)) return [];
      const what = `no Service of the gateway's pods (${selectorText(selector)}) opens port ${port.number}`;
      const path = ["spec", "servers", index, "port", "number"];
      return [{ code: "IST0162", severity: "warning", subject: gateway, path, what, fix: "add the port to the Service of the gateway" }];
    });
  });
}

/** IST0101 for a gateway that selects no pod. */
export function selectorNotFound(gateway: Gateway): Finding {
  return notFound(
    gateway,
    ["spec", "selector"],
    `no pod has the labels ${selectorText(gateway.spec.selector)}`,
    "correct the selector, or start a gateway that has them",
  );
}

/** Ports that lead to these pods: as the Services have them, and as the pods do. */
function openPorts({ services }: AnalysisInput, pods: AnalysisInput["pods"]): ReadonlySet<number> {
  const open = new Set<number>();
  for (const { namespace, labels } of pods) {
    for (const { spec } of services.filter((service) => service.namespace === namespace && selects(service.spec.selector, labels))) {
      for (const { port, targetPort, protocol } of spec.ports) {
        if (protocol !== "TCP") continue;
        open.add(port);
        const target = Number(targetPort);
        if (Number.isInteger(target) && target > 0) open.add(target);
      }
    }
  }
  return open;
}
