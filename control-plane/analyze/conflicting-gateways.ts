// Gateways that listen for the same host at the same port of the same pods (IST0145). Source: Istio analyzers/gateway, conflictinggateway.go.
import type { GatewayServer } from "../model/gateway.ts";
import type { Gateway } from "../model/resource.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput, Pod } from "./input.ts";
import { selectorText, selects } from "./selection.ts";

export function conflictingGateways({ gateways, pods }: AnalysisInput): readonly Finding[] {
  return gateways.flatMap((gateway) => {
    const rivals = gateways.filter((other) => other !== gateway && sharePods(gateway, other, pods));
    return gateway.spec.servers.flatMap((server, index): readonly Finding[] => {
      const names = rivals.filter(({ spec }) => overlaps(server, spec.servers)).map(({ namespace, name }) => `${namespace}/${name}`);
      if (names.length === 0) return [];
      const what = `${names.sort().join(", ")} listens for the same hosts (${server.hosts.join(", ")}) at port ${server.port.number} of the same gateway`;
      const path = ["spec", "servers", index, "hosts"];
      return [{ code: "IST0145", severity: "error", subject: gateway, path, what, fix: "give each host to one Gateway, or give them ports of their own" }];
    });
  });
}

/** Equal selectors select the same pods; of unequal ones the one must say more than the other, and both select a pod. */
function sharePods(a: Gateway, b: Gateway, pods: readonly Pod[]): boolean {
  const [textA, textB] = [selectorText(a.spec.selector), selectorText(b.spec.selector)];
  if (textA === textB) return true;
  if (!textA.includes(textB) && !textB.includes(textA)) return false;
  return pods.some(({ labels }) => selects(a.spec.selector, labels) && selects(b.spec.selector, labels));
}

/** Of the rival's servers at one port the last counts: Istio keeps one by name and port. */
function overlaps(server: GatewayServer, others: readonly GatewayServer[]): boolean {
  const other = others.findLast(({ port }) => port.number === server.port.number);
  return other !== undefined && (other.bind ?? "") === (server.bind ?? "") && other.hosts.some((host) => server.hosts.includes(host));
}
