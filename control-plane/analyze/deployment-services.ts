// Services of one Deployment that contradict each other: in the protocol of a port (IST0116), or in the port of a target port (IST0137).
// Source: Istio analyzers/deployment, services.go.
import type { Finding } from "./finding.ts";
import type { AnalysisInput, Deployment, Service } from "./input.ts";
import { isDeploymentInMesh, selects } from "./selection.ts";

const WAYPOINT = "istio.io-mesh-controller";

export function deploymentServices(input: AnalysisInput): readonly Finding[] {
  return input.deployments
    .filter((deployment) => deployment.labels["gateway.istio.io/managed"] !== WAYPOINT && isDeploymentInMesh(input, deployment))
    .flatMap((deployment) => {
      const services = servicesOf(input, deployment);
      return [...protocols(deployment, services), ...targetPorts(deployment, services)];
    });
}

function servicesOf({ services }: AnalysisInput, { namespace, spec }: Deployment): readonly Service[] {
  const { labels } = spec.template.metadata;
  return services.filter((service) => {
    const { selector } = service.spec;
    return service.namespace === namespace && Object.keys(selector).length > 0 && selects(selector, labels);
  });
}

function protocols(subject: Deployment, services: readonly Service[]): readonly Finding[] {
  const byPort = new Map<number, Map<string, readonly string[]>>();
  for (const { name, spec } of services) {
    for (const { port, protocol } of spec.ports) {
      const known = byPort.get(port) ?? new Map<string, readonly string[]>();
      byPort.set(port, known.set(protocol, [...(known.get(protocol) ?? []), name]));
    }
  }
  return [...byPort]
    .filter(([, known]) => known.size > 1)
    .map(([port, known]) => {
      const names = [...known.values()].flat().sort().join(", ");
      const what = `the Services ${names} have different protocols for port ${port}`;
      return { code: "IST0116", severity: "warning", subject, path: ["metadata", "name"], what, fix: "give the port one protocol in all of them" };
    });
}

function targetPorts(subject: Deployment, services: readonly Service[]): readonly Finding[] {
  const byTarget = new Map<string, Map<number, string>>();
  for (const { name, spec } of services) {
    for (const { port, targetPort } of spec.ports) {
      const target = targetPort === undefined || targetPort === 0 || targetPort === "" ? String(port) : String(targetPort);
      byTarget.set(target, (byTarget.get(target) ?? new Map<number, string>()).set(port, name));
    }
  }
  return [...byTarget]
    .filter(([, known]) => known.size > 1)
    .map(([target, known]) => {
      const names = [...new Set(known.values())].sort().join(", ");
      const ports = [...known.keys()].sort((a, b) => a - b).join(", ");
      const what = `the Services ${names} reach target port ${target} by different ports: ${ports}`;
      return { code: "IST0137", severity: "warning", subject, path: ["metadata", "name"], what, fix: "give it the same port in all of them" };
    });
}
