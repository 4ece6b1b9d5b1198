// Which of several control planes does what only one may: the holder of a Lease. Whoever holds it renews it; whoever sees it unchanged for its whole duration
// takes it. Times of other machines are never compared with our own. Source: Kubernetes coordination.k8s.io/v1; client-go, leaderelection.
import { z } from "zod";
import { type KubernetesApi, KubernetesApiError } from "../source/kubernetes-api.ts";
import { pause } from "../source/kubernetes-informer.ts";
import type { Logger } from "../xds/connection.ts";

export interface LeaderOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Who we are, unlike everybody else: the pod's name and something of this process. */
  readonly identity: string;
  readonly logger: Logger;
  /** We have become the leader, or have ceased to be. */
  readonly onChange: (leads: boolean) => void;
  /** Default: 15 s. */
  readonly durationMs?: number;
}

export interface Leader {
  readonly leads: () => boolean;
  /** Gives the Lease up, so that another need not wait for its end. */
  readonly close: () => Promise<void>;
}

const DURATION_MS = 15_000;

const lease = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
      acquireTime: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
    })
    .default({}),
});

type Lease = z.output<typeof lease>;

/** Begins to ask for the Lease. Errors are logged and survived: a leader that cannot renew stops being one before another may begin. */
export function startLeader(options: LeaderOptions): Leader {
  const { api, namespace, name, identity, logger, durationMs = DURATION_MS } = options;
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const stop = new AbortController();
  let leads = false;
  /** When the last renewal that went through was begun. */
  let renewedAtMs = Number.NEGATIVE_INFINITY;
  let seen = { resourceVersion: "", atMs: 0 };

  const become = (next: boolean): void => {
    if (leads === next) return;
    leads = next;
    logger.info({ lease: `${namespace}/${name}`, identity }, next ? "this control plane leads" : "this control plane does not lead any more");
    options.onChange(next);
  };
  const read = async (): Promise<Lease | undefined> => {
    try {
      return lease.parse((await api.ask({ path: `${path}/${name}`, signal: stop.signal })).body);
    } catch (error) {
      if (error instanceof KubernetesApiError && error.status === 404) return undefined;
      throw error;
    }
  };
  const write = async (former: Lease | undefined, holderIdentity: string): Promise<void> => {
    const now = new Date().toISOString().replace("Z", "000Z");
    const taken = former?.spec.holderIdentity !== holderIdentity;
    const spec = {
      holderIdentity,
      leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1_000)),
      acquireTime: taken ? now : former?.spec.acquireTime,
      renewTime: now,
      leaseTransitions: (former?.spec.leaseTransitions ?? 0) + (taken && former !== undefined ? 1 : 0),
    };
    const about = { name, namespace, ...(former === undefined ? {} : { resourceVersion: former.metadata.resourceVersion }) };
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: about, spec };
    if (former === undefined) await api.ask({ method: "POST", path, body });
    else await api.ask({ method: "PUT", path: `${path}/${name}`, body });
  };
  const step = async (): Promise<void> => {
    const beganMs = performance.now();
    const found = await read();
    const holder = found?.spec.holderIdentity ?? "";
    const { resourceVersion } = found?.metadata ?? { resourceVersion: "" };
    if (resourceVersion !== seen.resourceVersion) seen = { resourceVersion, atMs: beganMs };
    const lapsed = beganMs - seen.atMs >= (found?.spec.leaseDurationSeconds ?? durationMs / 1_000) * 1_000;
    if (holder !== identity && holder !== "" && !lapsed) return become(false);
    await write(found, identity);
    renewedAtMs = beganMs;
    become(true);
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await step();
      } catch (error) {
        // Somebody else wrote first: the next look says who.
        const conflict = error instanceof KubernetesApiError && error.status === 409;
        if (!conflict && !stop.signal.aborted) logger.warn({ error: error instanceof Error ? error.message : String(error) }, "the Lease cannot be renewed");
      }
      // Well before the others may take it.
      if (leads && performance.now() - renewedAtMs > (durationMs * 2) / 3) become(false);
      await pause((durationMs / 7) * (0.8 + Math.random() * 0.4), stop.signal);
    }
  };

  const running = run();
  return {
    leads: () => leads,
    close: async () => {
      stop.abort();
      await running;
      if (!leads) return;
      become(false);
      try {
        const { body } = await api.ask({ path: `${path}/${name}` });
        const found = lease.parse(body);
        if (found.spec.holderIdentity === identity) await write(found, "");
      } catch {
        // It ends by itself.
      }
    },
  };
}
