// The control plane of a cluster: the API server is where its resources, what runs, its certificate authority and its memory are. Any number of them may run
// beside each other: equal input gives equal versions, so that a proxy may move from one to another, and what only one may do its leader does.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "pino";
import { type MeshIdentityOptions, startMeshIdentity } from "../ca/mesh-identity.ts";
import { identityFolderOf } from "../ca/paths.ts";
import { type ControlPlane, startControlPlane } from "../control-plane.ts";
import { type KubernetesSource, startKubernetesSource } from "../source/kubernetes.ts";
import type { KubernetesApi } from "../source/kubernetes-api.ts";
import { fileName } from "../source/kubernetes-file.ts";
import { openCaSecret } from "./ca-secret.ts";
import { startHealthServer } from "./health-server.ts";
import type { InjectionSettings } from "./inject/settings.ts";
import { lastGoodConfigMap } from "./last-good-config-map.ts";
import { type Leader, startLeader } from "./leader.ts";
import { startRootsConfigMaps } from "./roots-config-maps.ts";
import { type ClusterRunning, watchRunning } from "./running.ts";
import { askPeers } from "./status/peers.ts";
import { trackStatuses } from "./status/statuses.ts";
import { createStatusWriter } from "./status/writer.ts";
import { createTokenReview } from "./token-review.ts";
import { openWebhooks } from "./webhook/open-webhooks.ts";

/** Names the Lease, and the label `app` of the control planes' own pods. */
export const CONTROL_PLANE_APP = "weft-control-plane";

export interface ClusterPorts {
  readonly xds: number;
  /** Health, metrics. */
  readonly health: number;
  readonly webhooks: number;
  /** On loopback. */
  readonly admin: number;
}

export interface ClusterControlPlaneOptions {
  readonly api: KubernetesApi;
  readonly logger: Logger;
  /** Where the control planes are, and the mesh's own settings: `weft-system`. */
  readonly rootNamespace: string;
  /** The pod that this process is. */
  readonly podName: string;
  /** The only ones that are looked into, beside the root namespace; absent: all. */
  readonly namespaces?: readonly string[];
  /** For what needs not outlive the pod. */
  readonly stateFolder: string;
  /** Address to listen at. */
  readonly host: string;
  /** 0: chosen by the system. */
  readonly ports: ClusterPorts;
  /** Somebody else writes the Secret of the certificate authority. */
  readonly externalCa: boolean;
  /** Of a proxy's certificate. Default: 24 hours. */
  readonly certificateMs?: number;
  /** Of the proxies' listeners; none where it is absent. */
  readonly accessLogPath?: string;
  readonly injection: InjectionSettings;
  readonly wasm: Uint8Array;
  /** For tests only. */
  readonly testFilter?: "trap";
}

export interface ClusterControlPlane {
  readonly ports: ClusterPorts;
  readonly controlPlane: ControlPlane;
  readonly leads: () => boolean;
  readonly statusesWritten: () => number;
  /** Is ready no more, and goes on serving: whoever is to go elsewhere is given time to. */
  readonly leave: () => void;
  readonly close: () => Promise<void>;
}

/** After a publication as long again: what changes meanwhile is one change, and half of the time is left for the proxies. */
const REST_FACTOR = 1;

/** Resolves when proxies are served. Waits for the API server as long as it takes. Rejects when a port cannot be bound. */
export async function startClusterControlPlane(options: ClusterControlPlaneOptions): Promise<ClusterControlPlane> {
  const { api, logger, rootNamespace, podName } = options;
  const places = options.namespaces === undefined ? {} : { namespaces: [...new Set([...options.namespaces, rootNamespace])].sort() };
  const closing: (() => unknown)[] = [];
  let waitsFor: string | undefined = "the API server";
  let controlPlane: ControlPlane | undefined;
  let leader: Leader | undefined;
  let running: ClusterRunning | undefined;
  let troubled: ReadonlySet<string> = new Set();
  let sequence = 0;
  let leaving = false;
  let bound: ClusterPorts = options.ports;
  const leads = (): boolean => leader?.leads() ?? false;

  const health = await startHealthServer({
    host: options.host,
    port: options.ports.health,
    logger,
    notReady: () => (leaving ? "it ends" : waitsFor),
    metrics: () => controlPlane?.metrics() ?? "",
    programmed: () => statuses.programmed(),
  });
  closing.push(health.close);
  const source: KubernetesSource = startKubernetesSource({
    api,
    logger,
    rootNamespace,
    ...places,
    onObject: (file, object) => running?.noteObject(file, object),
  });
  closing.push(source.close);
  running = watchRunning({
    api,
    logger,
    objects: source.objects,
    ...places,
    ...(options.accessLogPath === undefined ? {} : { accessLogPath: options.accessLogPath }),
    onChange: (instances, proxies) => {
      sequence += 1;
      if (running !== undefined) source.setGatewayNamespaces(running.gatewayNamespaces());
      controlPlane?.setRunning({ sequence, instances, proxies });
    },
  });
  closing.push(running.close);
  const writer = createStatusWriter({ api, logger, latest: source.latest, leads });
  const otherControlPlanes = (): readonly string[] =>
    [...(running?.pods.values() ?? [])]
      .filter(({ namespace, name, labels, address }) => namespace === rootNamespace && labels.app === CONTROL_PLANE_APP && name !== podName && address !== "")
      .map(({ address }) => address);
  const statuses = trackStatuses({
    leads,
    proxies: () => controlPlane?.proxies() ?? [],
    want: writer.want,
    askPeers: () => askPeers(otherControlPlanes(), bound.health),
    onError: (error) => logger.error({ error: error.stack }, "statuses cannot be told"),
  });
  closing.push(writer.close, () => statuses.close());

  const authority = await openCaSecret({ api, namespace: rootNamespace, logger, external: options.externalCa });
  closing.push(authority.close);
  await Promise.all([source.synced, running.synced]);
  source.setGatewayNamespaces(running.gatewayNamespaces());
  const lastGood = lastGoodConfigMap({ api, namespace: rootNamespace, logger, leads, troubled: () => troubled });
  const identity: Pick<MeshIdentityOptions, "folder" | "external" | "authenticate" | "lifetimeMs"> = {
    folder: identityFolderOf(join(options.stateFolder, "weft")),
    external: authority.reader,
    authenticate: createTokenReview(api, Date.now),
    ...(options.certificateMs === undefined ? {} : { lifetimeMs: options.certificateMs }),
  };
  waitsFor = "the first publication";
  controlPlane = await startControlPlane({
    openSource: source.open,
    // Saved with each publication: what is wrong now may be so without anything new that is right.
    lastGood: { load: lastGood.load, save: async () => undefined },
    xdsHost: options.host,
    xdsPort: options.ports.xds,
    adminPort: options.ports.admin,
    identity: (context) => startMeshIdentity({ ...identity, ...context }),
    restFactor: REST_FACTOR,
    wasm: options.wasm,
    ...(options.testFilter === undefined ? {} : { testFilter: options.testFilter }),
    logger,
    events: {
      onListening: ({ xdsPort, adminPort }) => {
        bound = { ...bound, xds: xdsPort, admin: adminPort, health: health.port };
      },
      onPublished: (publication) => {
        if (publication.sequence > 0) waitsFor = undefined;
        troubled = new Set(publication.diagnostics.flatMap(({ severity, origin }) => (severity === "info" ? [] : [origin.file])));
        lastGood.save(publication.lastGood).catch((error: Error) => logger.warn({ error: error.message }, "what was last good cannot be kept"));
        statuses.published(publication, source.told());
      },
      onProxies: () => statuses.note(),
    },
  });
  const served = controlPlane;
  closing.push(served.close);
  running.begin();
  const webhooks =
    served.identity === undefined
      ? undefined
      : await openWebhooks({
          api,
          logger,
          rootNamespace,
          address: options.host,
          port: options.ports.webhooks,
          identity: served.identity,
          injection: {
            settings: options.injection,
            namespaceLabels: (namespace) => source.objects.get(fileName("Namespace", "", namespace))?.object.metadata.labels,
          },
          validation: { files: served.files, nowMs: Date.now },
          leads,
        });
  if (webhooks !== undefined) closing.push(webhooks.close);
  bound = { ...bound, webhooks: webhooks?.port ?? 0 };
  logger.info(bound, "listening");
  const roots = startRootsConfigMaps({
    api,
    logger,
    ...places,
    present: () =>
      [...source.objects.values()].flatMap(({ kind, name, object }) =>
        kind.kind === "Namespace" && object.metadata.deletionTimestamp === undefined ? [name] : [],
      ),
    roots: () => controlPlane?.identity?.roots() ?? [],
    leads,
  });
  closing.push(roots.close);
  leader = startLeader({
    api,
    namespace: rootNamespace,
    name: CONTROL_PLANE_APP,
    identity: `${podName}_${randomUUID().slice(0, 8)}`,
    logger,
    onChange: (leading) => {
      if (!leading) return;
      roots.look();
      statuses.note();
    },
  });
  closing.push(leader.close);
  return {
    ports: bound,
    controlPlane: served,
    leads,
    statusesWritten: writer.written,
    leave: () => {
      leaving = true;
    },
    close: async () => {
      leaving = true;
      for (const step of closing.splice(0).reverse()) await step();
    },
  };
}
