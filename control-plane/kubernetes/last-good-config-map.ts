// What was last good of objects that are wrong now, in a ConfigMap: a control plane that starts, or another one, serves the same in their place. What is right
// stands in the API server itself. Written by the leader.
import { z } from "zod";
import { EMPTY_LAST_GOOD, type LastGood, type RememberedResource } from "../model/last-good.ts";
import { type KubernetesApi, KubernetesApiError } from "../source/kubernetes-api.ts";
import type { LastGoodStore } from "../source/last-good-file.ts";
import type { Logger } from "../xds/connection.ts";

export const LAST_GOOD_CONFIG_MAP = "weft-last-good";
const KEY = "last-good.json";
/** An object of the API server has 1 MiB at most. */
const LARGEST_BYTES = 900_000;

const remembered = z.object({
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  file: z.string(),
  line: z.number(),
  column: z.number(),
  document: z.json(),
  digest: z.string(),
});
const kept = z.object({ version: z.literal(1), resources: z.array(remembered), settled: z.array(remembered) });
const configMap = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });

export interface LastGoodConfigMapOptions {
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly logger: Logger;
  readonly leads: () => boolean;
  /** Files about which something is said now. */
  readonly troubled: () => ReadonlySet<string>;
}

/** A store that remembers what is in trouble, and keeps nothing where nothing is. */
export function lastGoodConfigMap({ api, namespace, logger, leads, troubled }: LastGoodConfigMapOptions): LastGoodStore {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  let stored = "";
  let turn: Promise<void> = Promise.resolve();

  const load = async (): Promise<LastGood> => {
    try {
      const { data } = configMap.parse((await api.ask({ path: `${path}/${LAST_GOOD_CONFIG_MAP}` })).body);
      stored = data[KEY] ?? "";
      return stored === "" ? EMPTY_LAST_GOOD : (kept.parse(JSON.parse(stored)) satisfies LastGood);
    } catch (error) {
      if (!(error instanceof KubernetesApiError && error.status === 404))
        logger.warn(
          { error: error instanceof Error ? error.message : String(error) },
          "what was last good cannot be read: what is wrong now has no former version",
        );
      return EMPTY_LAST_GOOD;
    }
  };
  const write = async (text: string): Promise<void> => {
    if (text === stored || !leads()) return;
    const data = { [KEY]: text };
    try {
      await api.ask({ method: "PATCH", path: `${path}/${LAST_GOOD_CONFIG_MAP}`, contentType: "application/merge-patch+json", body: { data } });
    } catch (error) {
      if (!(error instanceof KubernetesApiError && error.status === 404)) throw error;
      await api.ask({ method: "POST", path, body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: LAST_GOOD_CONFIG_MAP, namespace }, data } });
    }
    stored = text;
  };
  return {
    load,
    save: (lastGood) => {
      const files = troubled();
      const inTrouble = ({ file, kind }: RememberedResource): boolean => files.has(file) && kind !== "Secret";
      const next: LastGood = { version: 1, resources: lastGood.resources.filter(inTrouble), settled: lastGood.settled.filter(inTrouble) };
      const text = next.resources.length + next.settled.length === 0 ? "" : JSON.stringify(next);
      if (text.length > LARGEST_BYTES) return Promise.reject(new Error("too much is wrong at once for what was last good to be kept"));
      turn = turn.catch(() => undefined).then(() => write(text));
      return turn;
    },
  };
}
