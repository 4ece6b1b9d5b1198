// The mutating webhook: a pod that is about to be made gets its proxy.
import { inject } from "../inject/inject.ts";
import { jsonPatch } from "../inject/json-patch.ts";
import { podSchema } from "../inject/pod.ts";
import type { InjectionSettings } from "../inject/settings.ts";
import type { AdmissionRequest, AdmissionVerdict } from "./admission-review.ts";

export interface PodInjection {
  readonly settings: InjectionSettings;
  /** Undefined where the namespace is not known here (yet): the API server asks for pods of selected namespaces alone. */
  readonly namespaceLabels?: (namespace: string) => Readonly<Record<string, string>> | undefined;
}

/** A pod that cannot be read is left to the API server, which says better what is wrong with it. */
export function injectPod({ kind, namespace, object, operation }: AdmissionRequest, { settings, namespaceLabels }: PodInjection): AdmissionVerdict {
  if (kind.kind !== "Pod" || kind.group !== "" || operation !== "CREATE") return { allowed: true };
  const pod = podSchema.safeParse(object);
  if (!pod.success) return { allowed: true };
  const labels = namespaceLabels?.(namespace);
  const injection = inject({ pod: pod.data, namespace, settings, ...(labels === undefined ? {} : { namespaceLabels: labels }) });
  if (!injection.injected) return { allowed: true };
  return { allowed: true, patch: jsonPatch(object, injection.pod), warnings: injection.warnings.map((text) => `weft: ${text}`) };
}
