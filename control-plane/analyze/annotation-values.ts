// Values of the annotations that Istio checks: what to write instead, or undefined where the value is right.
// Source: Istio pkg/kube/inject, AnnotationValidation.
import { subnetFault } from "../validate/names.ts";

type Check = (value: string) => boolean;

const wholeNumber: Check = (value) => /^\d{1,10}$/.test(value) && Number(value) < 2 ** 32;
const port: Check = (value) => /^\s*\d{1,5}\s*$/.test(value) && Number(value) <= 65_535;
const ports: Check = (value) => value.trim() === "" || value.split(",").every(port);
const truth: Check = (value) => /^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value);
const blocks: Check = (value) => value === "" || value.split(",").every((block) => block.includes("/") && subnetFault(block) === undefined);
const quantity: Check = (value) => /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/.test(value);
/** Linux: at most 15 characters, no slash and no blank. */
const interfaces: Check = (value) => value === "" || value.split(",").every((name) => /^[^\s/]{1,15}$/.test(name.trim()));

const CHECKS: ReadonlyMap<string, readonly [check: Check, fix: string]> = new Map<string, readonly [Check, string]>([
  ["sidecar.istio.io/interceptionMode", [(value) => /^(?:REDIRECT|TPROXY|NONE)$/.test(value), "use REDIRECT, TPROXY or NONE"]],
  ["status.sidecar.istio.io/port", [port, "write a port"]],
  ["readiness.status.sidecar.istio.io/initialDelaySeconds", [wholeNumber, "write a whole number of seconds"]],
  ["readiness.status.sidecar.istio.io/periodSeconds", [wholeNumber, "write a whole number of seconds"]],
  ["readiness.status.sidecar.istio.io/failureThreshold", [wholeNumber, "write a whole number"]],
  [
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    [(value) => value === "*" || blocks(value), "write * or blocks such as 10.0.0.0/8, separated by commas"],
  ],
  ["traffic.sidecar.istio.io/excludeOutboundIPRanges", [blocks, "write blocks such as 10.0.0.0/8, separated by commas"]],
  ["traffic.sidecar.istio.io/includeInboundPorts", [(value) => value === "*" || ports(value), "write * or ports, separated by commas"]],
  ["traffic.sidecar.istio.io/excludeInboundPorts", [ports, "write ports, separated by commas"]],
  ["traffic.sidecar.istio.io/excludeOutboundPorts", [ports, "write ports, separated by commas"]],
  ["traffic.sidecar.istio.io/excludeInterfaces", [interfaces, "write names of network interfaces, separated by commas"]],
  ["traffic.sidecar.istio.io/kubevirtInterfaces", [interfaces, "write names of network interfaces, separated by commas"]],
  ["istio.io/reroute-virtual-interfaces", [interfaces, "write names of network interfaces, separated by commas"]],
  ["prometheus.istio.io/merge-metrics", [truth, 'write "true" or "false"']],
  ["sidecar.istio.io/proxyCPU", [quantity, "write a quantity such as 100m"]],
  ["sidecar.istio.io/proxyMemory", [quantity, "write a quantity such as 128Mi"]],
  ["sidecar.istio.io/proxyCPULimit", [quantity, "write a quantity such as 2"]],
  ["sidecar.istio.io/proxyMemoryLimit", [quantity, "write a quantity such as 1Gi"]],
]);

/** What to write in place of `value`. */
export function annotationFault(name: string, value: string): string | undefined {
  const known = CHECKS.get(name);
  return known === undefined || known[0](value) ? undefined : known[1];
}
