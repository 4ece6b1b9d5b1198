// Which Services of a namespace select a pod, and at which of its ports they lead: Services as the API server gives them in, an index out. Pure.
import { z } from "zod";
import type { KubernetesObject } from "../source/kubernetes-api.ts";

/** What a Service says of the pods behind it. */
export interface SelectingService {
  readonly name: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number | string;
}

const serviceSpec = z.object({
  type: z.string().optional(),
  selector: z.record(z.string(), z.string()).optional(),
  ports: z
    .array(
      z.object({ name: z.string().optional(), port: z.number(), targetPort: z.union([z.number(), z.string()]).optional(), protocol: z.string().optional() }),
    )
    .optional(),
});

/** TCP only. Undefined for what is no Service. */
export function selectingService({ metadata, spec }: KubernetesObject): SelectingService | undefined {
  const read = serviceSpec.safeParse(spec ?? {});
  if (!read.success) return undefined;
  const { selector = {}, ports = [], type } = read.data;
  return {
    name: metadata.name,
    selector: type === "ExternalName" ? {} : selector,
    ports: ports
      .filter(({ protocol = "TCP" }) => protocol === "TCP")
      .map(({ name = "", port, targetPort }) => ({ name, port, targetPort: targetPort === undefined || targetPort === 0 ? port : targetPort })),
  };
}

/** The Services of one namespace, found by what they select. */
export interface ServiceIndex {
  readonly selecting: (labels: Readonly<Record<string, string>>) => readonly SelectingService[];
}

/** A pod has few labels, and a namespace may have a thousand Services: each is asked only where its first label fits. */
export function indexServices(services: readonly SelectingService[]): ServiceIndex {
  const byLabel = new Map<string, SelectingService[]>();
  for (const service of services) {
    const [first] = Object.entries(service.selector);
    if (first === undefined) continue;
    const key = first.join("=");
    byLabel.set(key, [...(byLabel.get(key) ?? []), service]);
  }
  return {
    selecting: (labels) =>
      Object.entries(labels)
        .flatMap((label) => byLabel.get(label.join("=")) ?? [])
        .filter(({ selector }) => Object.entries(selector).every(([key, value]) => labels[key] === value))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
