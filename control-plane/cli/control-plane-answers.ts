// Questions to the admin API of a running mesh's control plane, and to the admin API of one of its proxies.
import { z } from "zod";
import type { ReadyAnswer } from "../local/api.ts";
import { CommandError } from "./command-error.ts";
import { findRunningMesh } from "./running-mesh.ts";

const origin = z.object({ file: z.string(), line: z.number(), column: z.number() });
const texts = z.record(z.string(), z.string());

/** As admin/resource-status.ts writes it. */
export const resourceStatuses = z.array(
  z.object({
    kind: z.string(),
    namespace: z.string(),
    name: z.string(),
    origin,
    labels: texts,
    annotations: texts,
    spec: z.unknown(),
    digest: z.string(),
    proxies: z.array(z.object({ proxyId: z.string(), connected: z.boolean(), taken: z.boolean() })),
    problems: z.array(z.string()),
  }),
);

/** As xds/proxy-state.ts describes it. */
export const proxyReports = z.array(
  z.object({
    proxyId: z.string(),
    connected: z.boolean(),
    upToDate: z.boolean(),
    ackedRevision: z.number(),
    targetRevision: z.number(),
    nacks: z.number(),
    resourcesSent: z.number(),
    bytesSent: z.number(),
  }),
);

export type ListedResource = z.output<typeof resourceStatuses>[number];
export type ListedProxy = z.output<typeof proxyReports>[number];

const TIMEOUT_MS = 5_000;

/** What the mesh of `dir` says of itself, and a question to its control plane. Rejects with a CommandError. */
export async function findControlPlane(dir: string | undefined): Promise<{
  readonly ready: ReadyAnswer;
  readonly ask: <Value>(path: string, schema: z.ZodType<Value>) => Promise<Value>;
}> {
  const askRunner = await findRunningMesh(dir);
  const ready = await askRunner("ready", undefined);
  return { ready, ask: (path, schema) => askAdmin(ready.controlPlane.admin, path, schema, "the control plane") };
}

/** One question to an admin API. Rejects with a CommandError where it does not answer, or with something else. */
export async function askAdmin<Value>(base: string, path: string, schema: z.ZodType<Value>, who: string): Promise<Value> {
  const response = await fetch(`${base}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error: Error) => {
    throw new CommandError(`${who} does not answer at ${base}: ${error.message}`, "`npx weft ps` says what runs");
  });
  const parsed = schema.safeParse(response.ok ? await response.json() : undefined);
  if (!parsed.success) throw new CommandError(`${who} answers ${response.status} to ${path}`, "Is the mesh older than this weft? Start it again");
  return parsed.data;
}
