// The mesh's certificate authority in a cluster: a Secret that all control planes read. The first of them makes it, unless somebody else does (cert-manager, or
// whoever keeps the organisation's root); what is written into it later takes over by rotation.

import { z } from "zod";
import { createRoot } from "../ca/certificates.ts";
import { type ExternalIssuerReader, issuerOfTexts } from "../ca/external-issuer.ts";
import { SecretText, secretFields, secretSpec } from "../model/secret.ts";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../source/kubernetes-api.ts";
import { type InformerLogger, pause, startInformer } from "../source/kubernetes-informer.ts";

export const CA_SECRET = "weft-ca";

export interface CaSecretOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly logger: InformerLogger;
  /** Somebody else writes it: it is waited for, and never made. */
  readonly external: boolean;
}

export interface CaSecret {
  readonly reader: ExternalIssuerReader;
  readonly close: () => Promise<void>;
}

const document = z.looseObject(secretFields);
const RETRY_MS = 1_000;

/** Resolves when there is a Secret that can be used. What is in the way is logged, and waited out: without it no proxy could be served. */
export async function openCaSecret(options: CaSecretOptions): Promise<CaSecret> {
  const { api, namespace, logger, external } = options;
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  const place = `the Secret ${namespace}/${CA_SECRET}`;
  const informer = startInformer<KubernetesObject>({
    api,
    path,
    query: { fieldSelector: `metadata.name=${CA_SECRET}` },
    keep: (object) => object,
    same: (a, b) => a.metadata.resourceVersion === b.metadata.resourceVersion,
    onChange: () => undefined,
    logger,
  });
  const reader: ExternalIssuerReader = {
    place,
    read: async (nowMs) => {
      const [object] = informer.store.values();
      if (object === undefined) return { kind: "problem", text: `${place} is not there` };
      try {
        const { entries } = secretSpec(document.parse(object));
        const texts = {
          certificate: entries["tls.crt"]?.reveal() ?? "",
          privateKey: entries["tls.key"] ?? new SecretText(""),
          roots: entries["ca.crt"]?.reveal() ?? "",
        };
        return issuerOfTexts(texts, nowMs);
      } catch {
        // The parser's own words would repeat what stands in the Secret.
        return { kind: "problem", text: `${place} is no Secret of type kubernetes.io/tls` };
      }
    },
  };
  const never = new AbortController().signal;
  await informer.synced;
  let said = "";
  for (let read = await reader.read(Date.now()); read.kind === "problem"; read = await reader.read(Date.now())) {
    if (!external && informer.store.size === 0) await create(api, path, namespace, logger);
    else if (read.text !== said) logger.warn({ reason: read.text }, "waiting for the mesh's certificate authority");
    said = read.text;
    await pause(informer.store.size === 0 && !external ? RETRY_MS / 10 : RETRY_MS, never);
  }
  return { reader, close: informer.close };
}

/** Of several that create at once the first counts. */
async function create(api: KubernetesApi, path: string, namespace: string, logger: InformerLogger): Promise<void> {
  const { rootsPem, privateKey } = await createRoot(1, Date.now());
  const root = rootsPem.join("");
  try {
    await api.ask({
      method: "POST",
      path,
      body: {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/tls",
        metadata: { name: CA_SECRET, namespace },
        stringData: { "tls.crt": root, "tls.key": privateKey.reveal(), "ca.crt": root },
      },
    });
    logger.info({ secret: `${namespace}/${CA_SECRET}` }, "made the mesh's first root");
  } catch (error) {
    if (error instanceof KubernetesApiError && error.status === 409) return;
    logger.warn({ error: error instanceof Error ? error.message : String(error) }, "the mesh's first root cannot be stored; it is tried again");
  }
}
