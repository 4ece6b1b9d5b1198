// What the API server asks an admission webhook and is answered: AdmissionReview, admission.k8s.io/v1.
import { z } from "zod";

const admissionRequest = z.looseObject({
  uid: z.string(),
  kind: z.object({ group: z.string(), version: z.string(), kind: z.string() }),
  namespace: z.string().default(""),
  name: z.string().default(""),
  operation: z.enum(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
  object: z.unknown().optional(),
  oldObject: z.unknown().optional(),
});

export const admissionReview = z.looseObject({ apiVersion: z.literal("admission.k8s.io/v1"), kind: z.literal("AdmissionReview"), request: admissionRequest });

export type AdmissionRequest = z.output<typeof admissionRequest>;

/** What a webhook makes of a request. */
export interface AdmissionVerdict {
  readonly allowed: boolean;
  /** Why it is refused; people read it behind `admission webhook … denied the request`. */
  readonly message?: string;
  /** `kubectl` prints one a line. */
  readonly warnings?: readonly string[];
  /** JSON patch. */
  readonly patch?: readonly object[];
}

/** The answer as the API server expects it. */
export function admissionAnswer(uid: string, { allowed, message, warnings = [], patch = [] }: AdmissionVerdict): object {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid,
      allowed,
      ...(message === undefined ? {} : { status: { code: allowed ? 200 : 422, message } }),
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(patch.length === 0 ? {} : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
    },
  };
}
