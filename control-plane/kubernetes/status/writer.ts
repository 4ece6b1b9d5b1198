// Writes the statuses of the mesh's objects into the API server: what each is to say comes in, patches go out, so many a second at most. A status that is
// written is no change of the object, so that nothing follows from it; what the server already says is not said again.
import { z } from "zod";
import type { KubernetesApi, KubernetesObject } from "../../source/kubernetes-api.ts";
import { KubernetesApiError } from "../../source/kubernetes-api.ts";
import { collectionPath, type ServedKind } from "../../source/kubernetes-discovery.ts";
import type { Logger } from "../../xds/connection.ts";
import { type Condition, difference, mergeConditions } from "./conditions.ts";

/** What one object is to say. */
export interface WantedStatus {
  readonly file: string;
  readonly kind: ServedKind;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly conditions: readonly Condition[];
}

export interface StatusWriterOptions {
  readonly api: KubernetesApi;
  readonly logger: Logger;
  /** By file, the object as the server last gave it. */
  readonly latest: ReadonlyMap<string, KubernetesObject>;
  readonly leads: () => boolean;
  /** Default: {@link WRITES_PER_SECOND}. */
  readonly writesPerSecond?: number;
  readonly nowMs?: () => number;
}

export interface StatusWriter {
  /** All statuses as they are to be now. */
  readonly want: (statuses: readonly WantedStatus[]) => void;
  /** Written since the start, for metrics and tests. */
  readonly written: () => number;
  readonly close: () => Promise<void>;
}

export const WRITES_PER_SECOND = 20;
/** A count that changes while a verdict stands is news, but not urgent: of a rollout it is shown, of a mesh whose pods come and go seldom. */
const PENDING_COUNT_MS = 2_000;
const COUNT_MS = 600_000;
/** The watch brings what was written back well before this. */
const ECHO_MS = 10_000;

const status = z.looseObject({
  observedGeneration: z.unknown(),
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.enum(["True", "False", "Unknown"]), reason: z.string().default(""), message: z.string().default("") }))
    .default([]),
});

/** Starts with nothing wanted. */
export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { api, logger, latest, nowMs = () => performance.now(), writesPerSecond = WRITES_PER_SECOND } = options;
  let wanted = new Map<string, WantedStatus>();
  /** What was written last, and when. */
  const wrote = new Map<string, { readonly text: string; readonly atMs: number }>();
  const refusals = new Set<string>();
  let count = 0;
  let closed = false;
  let turn: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const formerOf = (file: string): { readonly observedGeneration?: unknown; readonly conditions: readonly Condition[] } => {
    const read = status.safeParse(latest.get(file)?.status ?? {});
    if (!read.success) return { conditions: [] };
    return { observedGeneration: read.data.observedGeneration, conditions: read.data.conditions.map((condition) => condition satisfies Condition) };
  };
  const isDue = ({ file, conditions, generation }: WantedStatus): boolean => {
    const last = wrote.get(file);
    const sinceMs = nowMs() - (last?.atMs ?? Number.NEGATIVE_INFINITY);
    if (last?.text === textOf(generation, conditions) && sinceMs < ECHO_MS) return false;
    switch (difference(formerOf(file), conditions, generation)) {
      case "verdict":
        return true;
      case "count":
        return sinceMs >= (conditions.some(({ reason }) => reason === "Pending") ? PENDING_COUNT_MS : COUNT_MS);
      case "none":
        return false;
    }
  };
  const write = async ({ file, kind, namespace, name, generation, conditions }: WantedStatus): Promise<void> => {
    wrote.set(file, { text: textOf(generation, conditions), atMs: nowMs() });
    const merged = mergeConditions(formerOf(file).conditions, conditions, `${new Date().toISOString().slice(0, 19)}Z`);
    const path = `${collectionPath(kind, namespace)}/${name}/status`;
    try {
      await api.ask({
        method: "PATCH",
        path,
        contentType: "application/merge-patch+json",
        body: { status: { observedGeneration: generation, conditions: merged } },
      });
      count += 1;
    } catch (error) {
      // Gone, or changed by somebody meanwhile: the watch says what is so.
      if (error instanceof KubernetesApiError && (error.status === 404 || error.status === 409)) return;
      const text = error instanceof Error ? error.message : String(error);
      if (!refusals.has(kind.kind)) logger.warn({ file, error: text }, "a status cannot be written; it is tried again");
      refusals.add(kind.kind);
    }
  };
  /** One object after the other, in the order in which they wait: each has its turn. */
  const run = async (): Promise<void> => {
    const due = [...wanted.values()].filter(isDue).slice(0, Math.max(1, Math.round(writesPerSecond / 4)));
    for (const next of due) {
      if (closed || !options.leads()) return;
      await write(next);
    }
    // What was written goes to the end, so that one that is refused again and again holds up nobody.
    for (const { file } of due) {
      const own = wanted.get(file);
      if (own === undefined) continue;
      wanted.delete(file);
      wanted.set(file, own);
    }
  };
  const tick = (): void => {
    timer = setTimeout(() => {
      turn = options.leads() ? run() : Promise.resolve();
      turn.catch((error: Error) => logger.warn({ error: error.message }, "statuses cannot be written")).finally(() => (closed ? undefined : tick()));
    }, 250);
  };
  tick();
  return {
    want: (statuses) => {
      const order = [...wanted.keys()];
      const next = new Map(statuses.map((one) => [one.file, one]));
      const kept = order.flatMap((file) => next.get(file) ?? []);
      wanted = new Map([...kept.map((one) => [one.file, one] as const), ...next]);
      for (const file of wrote.keys()) if (!wanted.has(file)) wrote.delete(file);
    },
    written: () => count,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await turn.catch(() => undefined);
    },
  };
}

function textOf(generation: number, conditions: readonly Condition[]): string {
  return JSON.stringify([generation, conditions]);
}
