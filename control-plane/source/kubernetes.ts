// A cluster as a source: the objects of the mesh in the API server, each as the file that it would be in a folder. So whatever reads a folder reads a cluster.
// Which kinds there are, and in which version, the server is asked again and again; Secrets are asked for by name.
import { createCoalescer } from "./coalesce.ts";
import type { KubernetesApi, KubernetesObject } from "./kubernetes-api.ts";
import { collectionPath, discover, type ServedKind } from "./kubernetes-discovery.ts";
import { type ClusterFile, clusterFile } from "./kubernetes-file.ts";
import { type Informer, type InformerLogger, type InformerOptions, pause, retryMs, startInformer } from "./kubernetes-informer.ts";
import { namedSecrets } from "./kubernetes-secrets.ts";
import type { OpenSource } from "./source.ts";

export interface KubernetesSourceOptions {
  readonly api: KubernetesApi;
  readonly logger: InformerLogger;
  /** The only ones that are looked into, beside the root namespace; absent: all. */
  readonly namespaces?: readonly string[];
  /** Where the mesh's own settings stand: `weft-system`. */
  readonly rootNamespace: string;
  /** Something of the mesh has changed in the server; undefined: it is gone. Called before it is told as a file. */
  readonly onObject?: (file: string, object: ClusterFile | undefined) => void;
  /** How often it is asked what is served. Default: {@link DISCOVERY_MS}. */
  readonly discoveryMs?: number;
  readonly random?: () => number;
}

export interface KubernetesSource {
  /** The files, for whoever reads a mesh. To be opened once, when `synced`. */
  readonly open: OpenSource;
  /** By file. */
  readonly objects: ReadonlyMap<string, ClusterFile>;
  /** The objects as whoever opened the source was told them last. */
  readonly told: () => ReadonlyMap<string, ClusterFile>;
  /** By file, the object with the status that it has now: a status is no change of an object. */
  readonly latest: ReadonlyMap<string, KubernetesObject>;
  /** Resolves when all that is served has been listed once. */
  readonly synced: Promise<void>;
  /** Where the gateway proxies are: their Secrets are looked for there. */
  readonly setGatewayNamespaces: (namespaces: Iterable<string>) => void;
  readonly close: () => Promise<void>;
}

export const DISCOVERY_MS = 5_000;
/** One `kubectl apply` of several objects is one change. */
const QUIET_MS = 20;
const LONGEST_QUIET_MS = 200;
/** A Secret that may not be read keeps nobody waiting for longer. */
const SECRETS_WAIT_MS = 3_000;

const SECRET: ServedKind = { kind: "Secret", group: "", version: "v1", plural: "secrets", namespaced: true, hasStatus: false };

/** A kind that is watched, in one version. */
interface WatchedKind {
  readonly kind: ServedKind;
  readonly informers: readonly Informer<ClusterFile>[];
}

/** Begins to list and to watch. What cannot be reached is logged and tried again, for ever. */
export function startKubernetesSource(options: KubernetesSourceOptions): KubernetesSource {
  const { api, logger, random = Math.random } = options;
  const objects = new Map<string, ClusterFile>();
  const latest = new Map<string, KubernetesObject>();
  let told: ReadonlyMap<string, ClusterFile> = new Map();
  const watched = new Map<string, WatchedKind>();
  const secrets = new Map<string, Informer<ClusterFile>>();
  const changed = new Set<string>();
  const stop = new AbortController();
  let gatewayNamespaces: ReadonlySet<string> = new Set();
  let tell: ((changed: readonly string[], sinceMs: number) => void) | undefined;
  const coalescer = createCoalescer(QUIET_MS, LONGEST_QUIET_MS, (sinceMs) => {
    const names = [...changed].sort();
    changed.clear();
    tell?.(names, sinceMs);
  });

  const set = (file: string, object: ClusterFile | undefined): void => {
    if (object === undefined) {
      objects.delete(file);
      latest.delete(file);
    } else objects.set(file, object);
    changed.add(file);
    options.onObject?.(file, object);
    coalescer.note();
    if (file.includes("/Gateway/") || file.includes("/DestinationRule/")) nameSecrets();
  };
  const inform = (kind: ServedKind, path: string, query: InformerOptions<ClusterFile>["query"] = {}): Informer<ClusterFile> => {
    const files = new Map<string, string>();
    return startInformer<ClusterFile>({
      api,
      path,
      query,
      logger,
      random,
      keep: (object) => {
        if (!isWanted(kind, object, options.rootNamespace)) return undefined;
        const kept = clusterFile(kind, object);
        latest.set(kept.file, kept.object);
        return kept;
      },
      same: (a, b) => a.text === b.text && a.generation === b.generation,
      onChange: (key, kept) => {
        const file = kept?.file ?? files.get(key);
        if (kept === undefined) files.delete(key);
        else files.set(key, kept.file);
        // Where a kind is being watched in another version meanwhile, the file is that one's.
        if (file !== undefined && (kept !== undefined || objects.get(file)?.kind.version === kind.version)) set(file, kept);
      },
    });
  };

  const places = options.namespaces === undefined ? undefined : [...new Set([...options.namespaces, options.rootNamespace])].sort();
  const watchKind = (kind: ServedKind): WatchedKind => {
    if (places !== undefined && kind.kind === "Namespace") {
      // One by one: whoever may look into some namespaces may not list them all.
      return { kind, informers: places.map((name) => inform(kind, collectionPath(kind), { fieldSelector: `metadata.name=${name}` })) };
    }
    const paths = places === undefined || !kind.namespaced ? [collectionPath(kind)] : places.map((namespace) => collectionPath(kind, namespace));
    return { kind, informers: paths.map((path) => inform(kind, path)) };
  };
  /** A kind that is in another version now is watched in both until nothing can be missed. */
  const take = (kinds: readonly ServedKind[]): void => {
    for (const kind of kinds) {
      const former = watched.get(kind.kind);
      if (former?.kind.version === kind.version) continue;
      const next = watchKind(kind);
      watched.set(kind.kind, next);
      logger.info({ kind: kind.kind, group: kind.group, version: kind.version }, "this kind is watched");
      if (former !== undefined) void syncedOf(next).then(() => replace(former));
    }
  };
  const replace = async (former: WatchedKind): Promise<void> => {
    await Promise.all(former.informers.map((informer) => informer.close()));
    for (const [file, { kind }] of [...objects]) if (kind.kind === former.kind.kind && kind.version === former.kind.version) set(file, undefined);
  };

  /** Never takes a kind away: servers that start do not know all of theirs yet, and of one that is gone the watch finds nothing. */
  const discovering = async (): Promise<void> => {
    let etag = "";
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        const found = await discover(api, etag, stop.signal);
        failures = 0;
        if (found.kind === "found") {
          etag = found.etag;
          take(found.kinds);
          discovered();
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        if (failures === 0) logger.warn({ error: error instanceof Error ? error.message : String(error) }, "the API server cannot be asked what it serves");
        failures += 1;
      }
      await pause(failures > 0 ? retryMs(failures, 200, random) : (options.discoveryMs ?? DISCOVERY_MS), stop.signal);
    }
  };
  let discovered = (): void => undefined;
  const firstDiscovery = new Promise<void>((resolve) => {
    discovered = resolve;
  });

  const ofKind = (kind: string): readonly KubernetesObject[] => [...objects.values()].flatMap((file) => (file.kind.kind === kind ? [file.object] : []));
  let naming = false;
  /** Once for all that changes together. */
  function nameSecrets(): void {
    if (naming) return;
    naming = true;
    queueMicrotask(() => {
      naming = false;
      if (stop.signal.aborted) return;
      const wanted = new Set(namedSecrets(ofKind("Gateway"), ofKind("DestinationRule"), gatewayNamespaces));
      for (const [key, informer] of [...secrets]) {
        if (wanted.has(key)) continue;
        secrets.delete(key);
        const file = [...informer.store.values()][0]?.file;
        void informer.close().then(() => (file === undefined || secrets.has(key) ? undefined : set(file, undefined)));
      }
      for (const key of wanted) {
        if (secrets.has(key)) continue;
        const [namespace = "", name = ""] = key.split("/");
        secrets.set(key, inform(SECRET, collectionPath(SECRET, namespace), { fieldSelector: `metadata.name=${name}` }));
      }
    });
  }

  const running = discovering();
  const textsNow = (): ReadonlyMap<string, string> => {
    told = new Map([...objects].sort(([a], [b]) => (a < b ? -1 : 1)));
    return new Map([...told].map(([file, { text }]) => [file, text]));
  };
  return {
    objects,
    told: () => told,
    latest,
    synced: firstDiscovery.then(() => Promise.all([...watched.values()].map(syncedOf))).then(() => undefined),
    setGatewayNamespaces: (namespaces) => {
      const next = new Set(namespaces);
      if (next.size === gatewayNamespaces.size && [...next].every((namespace) => gatewayNamespaces.has(namespace))) return;
      gatewayNamespaces = next;
      nameSecrets();
    },
    open: async ({ onChange }) => {
      await Promise.race([Promise.all([...secrets.values()].map(({ synced }) => synced)), pause(SECRETS_WAIT_MS, stop.signal)]);
      changed.clear();
      tell = (names, sinceMs) => onChange(textsNow(), names, sinceMs);
      return {
        files: textsNow(),
        close: async () => {
          tell = undefined;
        },
      };
    },
    close: async () => {
      stop.abort();
      coalescer.close();
      await running;
      await Promise.all([...[...watched.values()].flatMap(({ informers }) => informers), ...secrets.values()].map((informer) => informer.close()));
    },
  };
}

/** The mesh has its settings in one place. */
function isWanted({ kind }: ServedKind, { metadata }: KubernetesObject, rootNamespace: string): boolean {
  return kind !== "MeshConfig" || metadata.namespace === rootNamespace;
}

async function syncedOf({ informers }: WatchedKind): Promise<void> {
  await Promise.all(informers.map(({ synced }) => synced));
}
