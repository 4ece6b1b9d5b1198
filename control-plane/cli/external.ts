// `weft ps --external`: what programs reach outside the mesh, read from the sidecars' access logs.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { ReadyWorkload } from "../local/events.ts";
import { compareText } from "../model/diagnostic.ts";
import { BLACK_HOLE_CLUSTER, ORIGINAL_CLUSTER, PASSTHROUGH_CLUSTER } from "../translate/names.ts";
import type { Style } from "./style.ts";
import { alignColumns } from "./table.ts";

/** One target outside the mesh, of one workload. */
export interface ExternalTarget {
  readonly namespace: string;
  readonly workload: string;
  /** `example.com:443`, or an address where the program named none. */
  readonly target: string;
  /** `refused`: outboundTrafficPolicy is REGISTRY_ONLY. */
  readonly verdict: "passed" | "refused";
  /** Requests, or connections where only those are seen (https, TCP). */
  readonly count: number;
  /** Of those that passed: not answered, or with a 5xx. */
  readonly failed: number;
  /** Of the last one. */
  readonly time: string;
}

const text = z.string().nullish();
const logLine = z.object({
  direction: text,
  time: z.string(),
  cluster: text,
  route: text,
  authority: text,
  listener: text,
  status: z.number().nullish(),
  flags: text,
  method: text,
});

const OUTSIDE: ReadonlySet<string> = new Set([PASSTHROUGH_CLUSTER, ORIGINAL_CLUSTER, BLACK_HOLE_CLUSTER]);

/** What a line says about a target outside the mesh; nothing where it is about another one, or no line of ours. */
export function externalCall(line: string): Omit<ExternalTarget, "namespace" | "workload" | "count"> | undefined {
  const parsed = parse(line);
  if (parsed === undefined || parsed.direction !== "outbound") return undefined;
  const { cluster, route, authority, listener, status, flags, time } = parsed;
  const blocked = route === "block_all" || cluster === BLACK_HOLE_CLUSTER;
  if (!blocked && !OUTSIDE.has(cluster ?? "")) return undefined;
  const broken = (status ?? 0) >= 500 || (status === 0 && (flags ?? "") !== "") || (authority == null && /U[FHC]/.test(flags ?? ""));
  return { target: authority ?? listener ?? "unknown", verdict: blocked ? "refused" : "passed", failed: !blocked && broken ? 1 : 0, time };
}

function parse(line: string): z.output<typeof logLine> | undefined {
  try {
    return logLine.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** All targets of all workloads, from the logs that there are. */
export async function externalTargets(workloads: readonly ReadyWorkload[]): Promise<readonly ExternalTarget[]> {
  const targets = new Map<string, ExternalTarget>();
  for (const { namespace, workload, accessLog } of workloads) {
    if (accessLog === "") continue;
    for await (const line of linesOf(accessLog)) {
      const call = externalCall(line);
      if (call === undefined) continue;
      const key = [namespace, workload, call.target, call.verdict].join("\n");
      const known = targets.get(key);
      const last = known !== undefined && compareText(known.time, call.time) > 0 ? known.time : call.time;
      targets.set(key, { namespace, workload, ...call, count: (known?.count ?? 0) + 1, failed: (known?.failed ?? 0) + call.failed, time: last });
    }
  }
  return [...targets.values()].sort(
    (a, b) =>
      compareText(a.namespace, b.namespace) || compareText(a.workload, b.workload) || compareText(a.target, b.target) || compareText(a.verdict, b.verdict),
  );
}

async function* linesOf(path: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
  } catch {
    // No request yet, no log.
  }
}

/** A table for a person. */
export function externalText(targets: readonly ExternalTarget[], style: Style): string {
  if (targets.length === 0) return "no program has called anything outside the mesh (through its HTTP proxy port, or with --isolate)";
  const rows = targets.map(({ workload, target, verdict, count, failed, time }) => [workload, target, verdict, String(count), String(failed), time]);
  const [head = "", ...lines] = alignColumns([["WORKLOAD", "TARGET", "WENT", "CALLS", "FAILED", "LAST"], ...rows]);
  return [style.bold(head), ...lines.map((line, index) => (targets[index]?.verdict === "refused" ? style.yellow(line) : line))].join("\n");
}
