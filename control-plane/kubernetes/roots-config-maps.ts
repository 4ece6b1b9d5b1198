// The mesh's roots in every namespace, since a pod mounts what stands beside it alone. Written by the leader; what somebody changes is put right.
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "../source/kubernetes-api.ts";
import { type Informer, type InformerLogger, startInformer } from "../source/kubernetes-informer.ts";
import { ROOTS_CONFIG_MAP, rootsConfigMap } from "./pod-contract.ts";

export interface RootsOptions {
  readonly api: KubernetesApi;
  readonly logger: InformerLogger;
  /** Absent: all namespaces of the cluster. */
  readonly namespaces?: readonly string[];
  /** Namespaces that there are now. */
  readonly present: () => readonly string[];
  /** Whom the mesh trusts. */
  readonly roots: () => readonly string[];
  readonly leads: () => boolean;
}

export interface RootsConfigMaps {
  /** Something may have changed. */
  readonly look: () => void;
  readonly close: () => Promise<void>;
}

const LOOK_ANYWAY_MS = 1_000;
const AGAIN_MS = 30_000;

/** Begins to watch the ConfigMaps of that name, and no others. */
export function startRootsConfigMaps(options: RootsOptions): RootsConfigMaps {
  const { api, logger } = options;
  const places = options.namespaces?.map((namespace) => `/api/v1/namespaces/${namespace}/configmaps`) ?? ["/api/v1/configmaps"];
  const informers: readonly Informer<string>[] = places.map((path) =>
    startInformer<string>({
      api,
      path,
      query: { fieldSelector: `metadata.name=${ROOTS_CONFIG_MAP}` },
      keep: dataOf,
      same: (a, b) => a === b,
      onChange: () => undefined,
      logger,
    }),
  );
  /** Namespaces that refused: one that is being deleted takes nothing new. */
  const refused = new Map<string, number>();
  let turn: Promise<void> = Promise.resolve();
  let looks = false;
  let closed = false;

  const write = async (namespace: string, data: Readonly<Record<string, string>>, there: boolean): Promise<void> => {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: ROOTS_CONFIG_MAP, namespace }, data };
    try {
      if (there) await api.ask({ method: "PATCH", path: `${path}/${ROOTS_CONFIG_MAP}`, contentType: "application/merge-patch+json", body: { data } });
      else await api.ask({ method: "POST", path, body });
      refused.delete(namespace);
    } catch (error) {
      if (error instanceof KubernetesApiError && error.status === 409) return;
      if (!refused.has(namespace))
        logger.warn({ namespace, error: error instanceof Error ? error.message : String(error) }, "the roots cannot be written into this namespace");
      refused.set(namespace, performance.now());
    }
  };
  const reconcile = async (): Promise<void> => {
    await Promise.all(informers.map(({ synced }) => synced));
    const data = rootsConfigMap(options.roots());
    const wanted = JSON.stringify(data);
    const present = new Map(informers.flatMap(({ store }) => [...store]));
    for (const namespace of options.present()) {
      if (closed || !options.leads()) return;
      const now = present.get(`${namespace}/${ROOTS_CONFIG_MAP}`);
      if (now === wanted || performance.now() - (refused.get(namespace) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) continue;
      await write(namespace, data, now !== undefined);
    }
  };
  const look = (): void => {
    if (looks || closed || !options.leads()) return;
    looks = true;
    turn = reconcile().finally(() => {
      looks = false;
    });
    turn.catch((error: Error) => logger.warn({ error: error.message }, "the roots of the mesh cannot be written"));
  };
  const timer = setInterval(look, LOOK_ANYWAY_MS);
  return {
    look,
    close: async () => {
      closed = true;
      clearInterval(timer);
      await Promise.all(informers.map((informer) => informer.close()));
      await turn.catch(() => undefined);
    },
  };
}

/** In the order in which {@link rootsConfigMap} writes it. */
function dataOf(object: KubernetesObject & { readonly data?: Readonly<Record<string, string>> }): string {
  const data = object.data ?? {};
  const order = Object.keys(rootsConfigMap([]));
  const rank = (key: string): number => (order.includes(key) ? order.indexOf(key) : order.length);
  return JSON.stringify(Object.fromEntries(Object.entries(data).sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))));
}
