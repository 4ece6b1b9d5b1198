// Values for the tests of this folder.
import { deploymentSpec } from "../model/kubernetes.ts";
import { localRunSpec } from "../model/local-run.ts";
import type { Desired, DesiredHost, DesiredWorkload } from "./protocol.ts";

/** A Deployment of one container as it is desired; `spec` and `container` add to it. */
export function desiredWorkload(
  name: string,
  options: { readonly container?: object; readonly pod?: object; readonly replicas?: number; readonly digest?: string } = {},
): DesiredWorkload {
  const labels = { app: name };
  const container = { name, image: `${name}:1`, ports: [{ name: "http", containerPort: 80 }], ...options.container };
  const spec = deploymentSpec.parse({
    replicas: options.replicas ?? 1,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [container], ...options.pod } },
  });
  const ports = container.ports.map(({ name: portName, containerPort }) => ({ name: portName, containerPort }));
  return { name, namespace: "default", labels, spec, ports, templateDigest: options.digest ?? "1", origin: { file: `${name}.yaml`, line: 1, column: 1 } };
}

export function desiredHost(name: string, ports: readonly number[], namespace = "default"): DesiredHost {
  return { hostname: `${name}.${namespace}.svc.cluster.local`, name, namespace, ports: ports.map((number) => ({ name: `port-${number}`, number })) };
}

export function desiredOfParts(
  parts: Partial<Omit<Desired, "localRuns">> & { readonly images?: readonly object[]; readonly attach?: readonly object[]; readonly folder?: string },
): Desired {
  const { images = [], attach = [], folder = "/", ...rest } = parts;
  const localRuns = images.length + attach.length === 0 ? [] : [{ folder, spec: localRunSpec.parse({ images, attach }) }];
  return { workloads: [], hosts: [], gateways: [], localRuns, ...rest };
}
