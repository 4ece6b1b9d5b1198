// From the resources of a folder to what the runner is to keep running. Pure.
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import type { Mesh } from "../mesh/mesh.ts";
import { compareText } from "../model/diagnostic.ts";
import type { LocalImage } from "../model/local-run.ts";
import type { Deployment, Gateway, LocalRun, Resources } from "../model/resource.ts";
import type { Desired, DesiredWorkload } from "./protocol.ts";

/** What runs for `resources`: `folder` is the absolute path of the folder that they were read from. */
export function desiredOf(folder: string, resources: Resources, mesh: Mesh): Desired {
  return {
    workloads: resources.deployments.map((deployment) => desiredWorkload(deployment, resources.localRuns)),
    hosts: [...mesh.hosts.values()].map(({ hostname, name, namespace, ports }) => ({
      hostname,
      name,
      namespace,
      ports: ports.filter(({ protocol }) => protocol !== "udp").map((port) => ({ name: port.name, number: port.number })),
    })),
    localRuns: resources.localRuns.map((localRun) => ({ folder: dirname(join(folder, localRun.origin.file)), spec: localRun.spec })),
    gateways: desiredGateways(resources.gateways),
  };
}

function desiredWorkload(deployment: Deployment, localRuns: readonly LocalRun[]): DesiredWorkload {
  const { template } = deployment.spec;
  const commands = template.spec.containers.map(({ image }) => localRuns.flatMap(({ spec }) => spec.images.filter((entry) => standsFor(entry, image))));
  return {
    name: deployment.name,
    namespace: deployment.namespace,
    labels: template.metadata.labels,
    spec: deployment.spec,
    templateDigest: createHash("sha256")
      .update(JSON.stringify([template, commands]))
      .digest("hex")
      .slice(0, 16),
  };
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
