// One collection of the API server, kept up to date: its list, then each change of it, for ever. A watch that breaks goes on where it was; where the server has
// forgotten that place (410 Gone), everything is listed again and compared, so that nothing is lost and nothing is gone in between.
// Source: Kubernetes API concepts, "Efficient detection of changes", "410 Gone responses", "Watch bookmarks".
import { setTimeout } from "node:timers/promises";
import { type KubernetesApi, KubernetesApiError, type KubernetesObject } from "./kubernetes-api.ts";
import { listObjects } from "./kubernetes-list.ts";

/** `namespace/name`; the bare name of what is in no namespace. */
export type ObjectKey = string;

export interface InformerLogger {
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
}

export interface InformerOptions<Kept> {
  readonly api: KubernetesApi;
  /** `/apis/networking.istio.io/v1/virtualservices`. */
  readonly path: string;
  /** `labelSelector`, `fieldSelector`. */
  readonly query?: Readonly<Record<string, string>>;
  /** What is kept of an object; undefined: it is as if it were not there. */
  readonly keep: (object: KubernetesObject) => Kept | undefined;
  /** Whether two versions differ in nothing that matters. */
  readonly same: (a: Kept, b: Kept) => boolean;
  /** Something that matters has changed; undefined: it is gone. During the first list it is called for everything. */
  readonly onChange: (key: ObjectKey, kept: Kept | undefined) => void;
  readonly logger: InformerLogger;
  /** From 0 to 1. Default: Math.random. */
  readonly random?: () => number;
  /** Default: {@link FIRST_RETRY_MS}. */
  readonly firstRetryMs?: number;
  /** How long a collection must not be there (404) before it counts as empty. Default: {@link MISSING_MS}. */
  readonly missingMs?: number;
}

export interface Informer<Kept> {
  readonly store: ReadonlyMap<ObjectKey, Kept>;
  /** Resolves when the first list is in the store. */
  readonly synced: Promise<void>;
  readonly close: () => Promise<void>;
}

/** So that many clients of a server that comes back do not all ask at once, each waits a random part of twice the former time. */
export const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 10_000;
export const MISSING_MS = 30_000;
const SAID_AGAIN_MS = 60_000;
/** A watch that lasted this long was a good one. */
const GOOD_WATCH_MS = 5_000;
/** The server ends a watch after a time between one and two of these. */
const WATCH_SECONDS = 240;
/** The server sends a bookmark about each minute: a connection that is silent for longer is dead. */
const IDLE_MS = 180_000;
const FAILURES_BEFORE_LIST = 5;
const GONE = 410;
const NOT_FOUND = 404;

interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubernetesObject & { readonly code?: number; readonly message?: string; readonly reason?: string };
}

/** Begins to list. Errors are logged and survived; only `close` ends it. */
export function startInformer<Kept>(options: InformerOptions<Kept>): Informer<Kept> {
  const { api, path, query = {}, logger, random = Math.random, firstRetryMs = FIRST_RETRY_MS } = options;
  const store = new Map<ObjectKey, Kept>();
  const stop = new AbortController();
  let resolveSynced = (): void => undefined;
  const synced = new Promise<void>((resolve) => {
    resolveSynced = resolve;
  });

  const put = (key: ObjectKey, kept: Kept | undefined): void => {
    const former = store.get(key);
    if (kept === undefined) {
      if (store.delete(key)) options.onChange(key, undefined);
      return;
    }
    store.set(key, kept);
    if (former === undefined || !options.same(former, kept)) options.onChange(key, kept);
  };

  /** What goes on for long is said once a minute. */
  const said = { text: "", atMs: Number.NEGATIVE_INFINITY };
  const complain = (where: string, status: number, text: string): void => {
    if (said.text === text && performance.now() - said.atMs < SAID_AGAIN_MS) return;
    said.text = text;
    said.atMs = performance.now();
    logger.warn({ path: where, status, error: text }, "a watch of the API server broke; it is resumed");
  };

  /** Everything, page by page: the former content stands until the last page is here. */
  const list = async (): Promise<string> => {
    const listed = new Map<ObjectKey, Kept>();
    const { objects, resourceVersion } = await listObjects(api, path, query, stop.signal);
    for (const object of objects) {
      const kept = options.keep(object);
      if (kept !== undefined) listed.set(keyOf(object), kept);
    }
    for (const key of [...store.keys()]) if (!listed.has(key)) put(key, undefined);
    for (const [key, kept] of listed) put(key, kept);
    return resourceVersion;
  };

  /** Until the server or the connection ends it. The result is where to go on; `""`: nowhere, list again. */
  const watch = async (from: string, onResumed: (resourceVersion: string) => void): Promise<string> => {
    let resourceVersion = from;
    const timeoutSeconds = String(Math.round(WATCH_SECONDS * (1 + random())));
    const onLine = (line: string): void => {
      const { type, object } = JSON.parse(line) as WatchEvent;
      if (type === "ERROR") throw new KubernetesApiError(object.code ?? 0, object.reason ?? "", `watch of ${path}: ${object.message ?? ""}`);
      if (type !== "BOOKMARK") put(keyOf(object), type === "DELETED" ? undefined : options.keep(object));
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
      onResumed(resourceVersion);
    };
    const wanted = { ...query, watch: "true", allowWatchBookmarks: "true", resourceVersion, timeoutSeconds };
    await api.follow({ path, query: wanted, signal: stop.signal }, onLine, IDLE_MS);
    return resourceVersion;
  };

  const run = async (): Promise<void> => {
    let resourceVersion = "";
    let failures = 0;
    let missingSinceMs: number | undefined;
    while (!stop.signal.aborted) {
      const startedMs = performance.now();
      try {
        if (resourceVersion === "") {
          resourceVersion = await list();
          missingSinceMs = undefined;
          resolveSynced();
        }
        await watch(resourceVersion, (seen) => {
          resourceVersion = seen;
          failures = 0;
        });
        // A server that ends watches as soon as they begin is no better than one that refuses them.
        failures = performance.now() - startedMs >= GOOD_WATCH_MS ? 0 : failures + 1;
      } catch (error) {
        if (stop.signal.aborted) return;
        const status = error instanceof KubernetesApiError ? error.status : 0;
        if (performance.now() - startedMs >= GOOD_WATCH_MS) failures = 0;
        failures += 1;
        // A server that was restored from a backup does not know the place either, and says so in other words.
        if (status === GONE || (status >= 400 && failures >= FAILURES_BEFORE_LIST)) resourceVersion = "";
        if (status === NOT_FOUND) {
          resourceVersion = "";
          resolveSynced();
          // Servers that start may not know all of their kinds yet, and what they forget for a moment is not gone.
          missingSinceMs ??= startedMs;
          if (performance.now() - missingSinceMs >= (options.missingMs ?? MISSING_MS)) for (const key of [...store.keys()]) put(key, undefined);
        }
        complain(path, status, error instanceof Error ? error.message : String(error));
      }
      await pause(retryMs(failures, firstRetryMs, random), stop.signal);
    }
  };

  const running = run();
  return {
    store,
    synced,
    close: async () => {
      stop.abort();
      await running;
    },
  };
}

export function keyOf({ metadata: { namespace, name } }: Pick<KubernetesObject, "metadata">): ObjectKey {
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** Half to all of a time that doubles with each failure in a row. */
export function retryMs(failures: number, firstMs: number, random: () => number): number {
  if (failures === 0) return 0;
  return Math.min(LONGEST_RETRY_MS, firstMs * 2 ** (failures - 1)) * (0.5 + random() / 2);
}

/** Resolves after a time, or at once when `signal` says so. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await setTimeout(delayMs, undefined, { signal }).catch(() => undefined);
}
