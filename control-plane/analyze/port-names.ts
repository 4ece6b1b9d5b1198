// Ports whose name does not say their protocol (IST0118), and names that an ExternalName cannot have (IST0150).
// Source: Istio analyzers/service, and its protocol selection by port name.
import { isProtocol } from "../validate/protocols.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput, Service } from "./input.ts";
import { isControlPlane } from "./selection.ts";

/** Services that a controller makes for a Gateway. */
const MANAGED: ReadonlySet<string> = new Set(["istio.io-gateway-controller", "istio.io-mesh-controller", "istio.io-eastwest-controller"]);
/** SMTP, DNS, MySQL and MongoDB, which are TCP whatever they are called. */
const WELL_KNOWN_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);
/** Kubernetes' own names for protocols. */
const APP_PROTOCOLS: ReadonlySet<string> = new Set(["kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"]);

export function portNames({ services }: AnalysisInput): readonly Finding[] {
  return services
    .filter((service) => !isControlPlane(service) && !MANAGED.has(service.labels["gateway.istio.io/managed"] ?? ""))
    .flatMap((subject) =>
      subject.spec.ports.flatMap((port, index): readonly Finding[] => {
        const isExternal = subject.spec.type === "ExternalName";
        if (isNamed(port) && !(isExternal && port.name === "tcp")) return [];
        const path = ["spec", "ports", index];
        const name = port.name === "" ? "the port has no name" : `the port's name "${port.name}" does not begin with a protocol`;
        if (isExternal) {
          const what = `${name}, and an ExternalName may keep other TCP traffic of port ${port.port} from passing`;
          return [{ code: "IST0150", severity: "warning", subject, path, what, fix: "name it by its protocol, such as http, or set appProtocol" }];
        }
        const what = `${name}: the protocol of port ${port.port} has to be guessed`;
        return [{ code: "IST0118", severity: "info", subject, path, what, fix: "name it PROTOCOL or PROTOCOL-SUFFIX, such as http-web, or set appProtocol" }];
      }),
    );
}

/** Whether a protocol is told by the port's appProtocol or name. */
function isNamed({ port, name, protocol, appProtocol }: Service["spec"]["ports"][number]): boolean {
  if (protocol === "UDP") return true;
  if (appProtocol !== undefined && APP_PROTOCOLS.has(appProtocol)) return true;
  const text = appProtocol ?? name;
  const prefix = text.toLowerCase().startsWith("grpc-web") ? "grpc-web" : (text.split("-")[0] ?? "");
  return isProtocol(prefix) || WELL_KNOWN_PORTS.has(port);
}
