// The webhooks of a live control plane: their certificate is the mesh's and is renewed with it, and the leader tells the API server whom to trust.
import type { MeshIdentity } from "../../ca/mesh-identity.ts";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../../source/kubernetes-api.ts";
import { collectionPath } from "../../source/kubernetes-discovery.ts";
import { startInformer } from "../../source/kubernetes-informer.ts";
import type { Logger } from "../../xds/connection.ts";
import { needsCaBundle, WEBHOOK_LABEL, withCaBundle } from "./ca-bundle.ts";
import type { PodInjection } from "./injection.ts";
import { startWebhooks, webhookNames } from "./server.ts";
import type { ResourceValidation } from "./validation.ts";

export interface OpenWebhooksOptions {
  readonly api: KubernetesApi;
  readonly logger: Logger;
  readonly rootNamespace: string;
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  readonly identity: Pick<MeshIdentity, "roots" | "issuer" | "issueFor">;
  readonly injection: PodInjection;
  readonly validation: ResourceValidation;
  readonly leads: () => boolean;
}

export interface OpenedWebhooks {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Of the Service in front of the control planes. */
const SERVICE = "weft-control-plane";
const LOOK_MS = 1_000;
const CONFIGURATIONS = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] as const;

/** Rejects where the port is taken. */
export async function openWebhooks(options: OpenWebhooksOptions): Promise<OpenedWebhooks> {
  const { api, logger, identity, rootNamespace, leads } = options;
  const names = webhookNames(SERVICE, rootNamespace);
  const service = { name: SERVICE, namespace: rootNamespace };
  const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  let leaf = await identity.issueFor(names);
  const server = await startWebhooks({
    address: options.address,
    port: options.port,
    certificate: leaf,
    injection: options.injection,
    validation: options.validation,
    onError: (error) => logger.error({ error: error.stack }, "a webhook failed"),
  });
  const kinds = CONFIGURATIONS.map((plural) => {
    const path = collectionPath({ group: "admissionregistration.k8s.io", version: "v1", plural, namespaced: false });
    const keep = (object: KubernetesObject): KubernetesObject => object;
    const same = (a: KubernetesObject, b: KubernetesObject): boolean => a.metadata.resourceVersion === b.metadata.resourceVersion;
    return {
      path,
      informer: startInformer<KubernetesObject>({ api, logger, path, query: { labelSelector: WEBHOOK_LABEL }, keep, same, onChange: () => undefined }),
    };
  });
  const renew = async (): Promise<void> => {
    const dueMs = leaf.issuedAtMs + (leaf.expiresAtMs - leaf.issuedAtMs) / 2;
    if (leaf.fingerprint === identity.issuer() && Date.now() < dueMs) return;
    leaf = await identity.issueFor(names);
    server.setCertificate(leaf);
  };
  const trust = async (): Promise<void> => {
    const roots = identity.roots();
    for (const { path, informer } of kinds) {
      for (const [name, configuration] of informer.store) {
        if (!leads() || !needsCaBundle(configuration, roots, service)) continue;
        try {
          await api.ask({ method: "PUT", path: `${path}/${name}`, body: withCaBundle(configuration, roots, service) });
        } catch (error) {
          // Somebody else wrote meanwhile: what there is now comes by the watch.
          if (!(error instanceof KubernetesApiError && error.status === 409)) throw error;
        }
      }
    }
  };
  let turn: Promise<void> = Promise.resolve();
  let said = "";
  const timer = setInterval(() => {
    turn = turn
      .then(renew)
      .then(trust)
      .catch((error: unknown) => {
        if (said !== reason(error)) logger.warn({ error: reason(error) }, "the webhooks' certificates cannot be renewed; it is tried again");
        said = reason(error);
      });
  }, LOOK_MS);
  return {
    port: server.port,
    close: async () => {
      clearInterval(timer);
      await turn;
      await Promise.all(kinds.map(({ informer }) => informer.close()));
      await server.close();
    },
  };
}
