// From the resources of a folder to what the runner is to keep running. Pure.
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import type { Mesh } from "../mesh/mesh.ts";
import { compareText } from "../model/diagnostic.ts";
import type { LocalImage } from "../model/local-run.ts";
import type { Deployment, Gateway, KubernetesService, Resources } from "../model/resource.ts";
import type { Desired, DesiredWorkload } from "./protocol.ts";

/** What runs for `resources`: `folder` is the absolute path of the folder that they were read from. */
export function desiredOf(folder: string, resources: Resources, mesh: Mesh): Desired {
  return {
    workloads: resources.deployments.map((deployment) => desiredWorkload(deployment, resources)),
    // A wildcard is many names, none of which is known beforehand: the HTTP proxy port leads there.
    hosts: [...mesh.hosts.values()]
      .filter(({ hostname }) => !hostname.startsWith("*"))
      .map(({ hostname, name, namespace, ports }) => ({
        hostname,
        name,
        namespace,
        ports: ports.filter(({ protocol }) => protocol !== "udp").map((port) => ({ name: port.name, number: port.number })),
      })),
    localRuns: resources.localRuns.map((localRun) => ({
      folder: dirname(join(folder, localRun.origin.file)),
      spec: localRun.spec,
      attachOrigins: localRun.spec.attach.map((_, index) => localRun.locate(["spec", "attach", index, "workload"])),
    })),
    gateways: desiredGateways(resources.gateways),
  };
}

function desiredWorkload(deployment: Deployment, { localRuns, services }: Resources): DesiredWorkload {
  const { template } = deployment.spec;
  const commands = template.spec.containers.map(({ image }) => localRuns.flatMap(({ spec }) => spec.images.filter((entry) => standsFor(entry, image))));
  const ports = workloadPorts(deployment, services);
  return {
    name: deployment.name,
    namespace: deployment.namespace,
    labels: template.metadata.labels,
    spec: deployment.spec,
    ports,
    templateDigest: createHash("sha256")
      .update(JSON.stringify([template, commands, ports]))
      .digest("hex")
      .slice(0, 16),
    origin: deployment.locate(["spec", "template", "spec", "containers", 0, "image"]),
  };
}

/** `containerPort` informs in Kubernetes, it permits nothing: a Service reaches an undeclared port by its number. */
function workloadPorts(deployment: Deployment, services: readonly KubernetesService[]): DesiredWorkload["ports"] {
  const { metadata, spec } = deployment.spec.template;
  const ports = new Map<number, DesiredWorkload["ports"][number]>();
  for (const { name, containerPort, protocol = "TCP" } of spec.containers.flatMap((container) => container.ports)) {
    if (protocol === "TCP" && !ports.has(containerPort)) ports.set(containerPort, { containerPort, ...(name === undefined ? {} : { name }) });
  }
  const selecting = services.filter(({ namespace, spec: { selector } }) => namespace === deployment.namespace && selects(selector, metadata.labels));
  for (const { protocol, port, targetPort = port } of selecting.flatMap((service) => service.spec.ports)) {
    if (protocol === "TCP" && typeof targetPort === "number" && !ports.has(targetPort)) ports.set(targetPort, { containerPort: targetPort });
  }
  return [...ports.values()];
}

function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([label, value]) => labels[label] === value);
}

/** Whether a LocalRun entry is about an image: without a tag it stands for every tag. */
function standsFor(entry: LocalImage, image: string): boolean {
  return entry.image === image || image.startsWith(`${entry.image}:`) || image.startsWith(`${entry.image}@`);
}

/** One gateway proxy per distinct selector, with the server ports of all Gateways that select it. */
function desiredGateways(gateways: readonly Gateway[]): Desired["gateways"] {
  const groups = new Map<string, { readonly gateway: Gateway; readonly ports: Set<number> }>();
  for (const gateway of gateways) {
    const selector = Object.entries(gateway.spec.selector).sort(([a], [b]) => compareText(a, b));
    const key = JSON.stringify(selector);
    const group = groups.get(key) ?? { gateway, ports: new Set<number>() };
    for (const server of gateway.spec.servers) group.ports.add(server.port.number);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ gateway, ports }) => ({
    selector: gateway.spec.selector,
    namespace: gateway.namespace,
    ports: [...ports].sort((a, b) => a - b),
  }));
}
