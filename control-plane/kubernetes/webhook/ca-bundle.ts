// The roots that the API server is to trust when it calls the webhooks: a webhook configuration comes in, the same with the bundle goes out. Pure: the leader
// reads the configurations by their label, and writes those that have changed.
import { z } from "zod";

const clientConfig = z.looseObject({ caBundle: z.string().optional(), service: z.looseObject({ name: z.string(), namespace: z.string() }).optional() });
const configuration = z.looseObject({ metadata: z.looseObject({ name: z.string() }), webhooks: z.array(z.looseObject({ clientConfig })).optional() });

/** A MutatingWebhookConfiguration or a ValidatingWebhookConfiguration. */
export type WebhookConfiguration = z.output<typeof configuration>;

/** Marks the configurations that are Weft's; `weft.mesh/rev` says whose. */
export const WEBHOOK_LABEL = "app.kubernetes.io/part-of=weft";

/** The configuration with these roots for every webhook of the Service; the very object that was given where nothing changes. Throws for something else. */
export function withCaBundle(
  given: unknown,
  roots: readonly string[],
  service = { name: "weft-control-plane", namespace: "weft-system" },
): WebhookConfiguration {
  const read = configuration.parse(given);
  const caBundle = Buffer.from(roots.join("")).toString("base64");
  const isOurs = ({ clientConfig: { service: called } }: { readonly clientConfig: z.output<typeof clientConfig> }): boolean =>
    called?.name === service.name && called.namespace === service.namespace;
  const webhooks = read.webhooks ?? [];
  if (!webhooks.some((webhook) => isOurs(webhook) && webhook.clientConfig.caBundle !== caBundle)) return read;
  return { ...read, webhooks: webhooks.map((webhook) => (isOurs(webhook) ? { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } } : webhook)) };
}

/** Whether {@link withCaBundle} has something to write. */
export function needsCaBundle(given: unknown, roots: readonly string[], service?: { readonly name: string; readonly namespace: string }): boolean {
  return JSON.stringify(withCaBundle(given, roots, service)) !== JSON.stringify(configuration.parse(given));
}
