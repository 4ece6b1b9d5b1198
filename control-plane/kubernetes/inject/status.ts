// The annotation of an injected pod: by it the control plane knows that the pod has a proxy, and which.
import { z } from "zod";

export const STATUS_ANNOTATION = "weft.mesh/status";

const injectionStatus = z.object({
  version: z.string(),
  revision: z.string(),
  kind: z.enum(["sidecar", "gateway"]),
  initContainers: z.array(z.string()).readonly(),
  containers: z.array(z.string()).readonly(),
  volumes: z.array(z.string()).readonly(),
});

export type InjectionStatus = z.output<typeof injectionStatus>;

/** The annotation's value. */
export function statusText(status: InjectionStatus): string {
  return JSON.stringify(injectionStatus.parse(status));
}

/** What the annotations of a pod say of its proxy; undefined where it has none. */
export function statusOf(annotations: Readonly<Record<string, string>>): InjectionStatus | undefined {
  const text = annotations[STATUS_ANNOTATION];
  if (text === undefined) return undefined;
  try {
    return injectionStatus.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
