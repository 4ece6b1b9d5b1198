// What the filter answers on an explain listener, and what follows from it: shares in percent, subsets, zones. Pure.
import { z } from "zod";
import { entryOfPick, parseDecisionRecord, type RecordCandidate, type RecordEntry, type StickyKey } from "../translate/decision-record.ts";

const text = z.string().nullable();
const filterAnswer = z.looseObject({
  /** Name of the route that matched; null: none did. */
  route: text,
  cluster: text,
  id: text,
  record: text,
  recordError: text,
  key: text,
  hash: text,
  zoneKey: text,
  pick: z.number().nullable(),
  candidate: text,
  entry: text,
  /** The proxy's own zone. */
  zone: text,
});

/** As filter/explain.ts writes it. */
export type FilterAnswer = z.output<typeof filterAnswer>;

/** One zone's part of a candidate. */
interface ExplainedZone {
  /** Empty where the candidate is not split over zones. */
  readonly zone: string;
  readonly cluster: string;
  /** Of the candidate's requests. */
  readonly sharePercent: number;
  readonly chosen: boolean;
}

/** One choice of the route. */
export interface ExplainedCandidate {
  readonly host: string;
  readonly port: number;
  readonly subset: string;
  readonly weight: number;
  /** Of the route's requests. */
  readonly sharePercent: number;
  readonly chosen: boolean;
  readonly zones: readonly ExplainedZone[];
}

/** What follows from an answer. */
export interface Explanation {
  readonly matched: boolean;
  /** Absent for a route that Weft made itself, and where none matched. */
  readonly virtualService?: { readonly namespace: string; readonly name: string; readonly route: string };
  /** What makes the choice stay; absent without a choice. */
  readonly sticky?: StickyKey;
  readonly candidates: readonly ExplainedCandidate[];
  /** The cluster that takes the request; absent where the route forwards nowhere (a redirect, a fixed answer) or none matched. */
  readonly chosenCluster?: string;
}

/** Reads the body of an explain listener's answer; undefined where the filter did not write it. */
export function parseFilterAnswer(body: string): FilterAnswer | undefined {
  try {
    return filterAnswer.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}

/** Derives the rest. A record that the filter refused is shown as absent: it did not decide. */
export function explainAnswer(answer: FilterAnswer): Explanation {
  const virtualService = virtualServiceOf(answer.route);
  const parsed = answer.record === null || answer.recordError !== null ? undefined : parseDecisionRecord(answer.record);
  const record = parsed?.kind === "record" ? parsed.record : undefined;
  const chosen = record === undefined || answer.pick === null ? undefined : entryOfPick(record, answer.pick);
  const weights = record?.candidates.reduce((sum, { weight }) => sum + weight, 0) ?? 0;
  const chosenCluster = chosen?.entry.cluster ?? answer.cluster ?? undefined;
  return {
    matched: answer.route !== null || answer.cluster !== null,
    ...(virtualService === undefined ? {} : { virtualService }),
    ...(record === undefined ? {} : { sticky: record.key }),
    candidates: (record?.candidates ?? []).map((candidate) => explainCandidate(candidate, weights, chosen)),
    ...(chosenCluster === undefined ? {} : { chosenCluster }),
  };
}

type Chosen = { readonly candidate: RecordCandidate; readonly entry: RecordEntry } | undefined;

function explainCandidate(candidate: RecordCandidate, weights: number, chosen: Chosen): ExplainedCandidate {
  const [host = "", port = "", subset = ""] = candidate.identity.split("|");
  const width = candidate.entries.reduce((sum, entry) => sum + entry.width, 0);
  return {
    host,
    port: Number(port),
    subset,
    weight: candidate.weight,
    sharePercent: (100 * candidate.weight) / weights,
    chosen: candidate === chosen?.candidate,
    zones: candidate.entries.map((entry) => ({
      zone: zoneOf(entry.cluster),
      cluster: entry.cluster,
      sharePercent: (100 * entry.width) / width,
      chosen: entry === chosen?.entry,
    })),
  };
}

/** `b` of `outbound|80||reviews.default.svc.cluster.local;zone=b` (translate/names.ts). */
function zoneOf(cluster: string): string {
  return /;zone=(.*)$/.exec(cluster)?.[1] ?? "";
}

/** Routes of a VirtualService are named `NAME.NAMESPACE/ROUTE` (translate/routes.ts). A name may hold dots, a namespace none. */
function virtualServiceOf(route: string | null): Explanation["virtualService"] {
  const [, name, namespace, key] = /^(.+)\.([^./]+)\/(.*)$/.exec(route ?? "") ?? [];
  return name === undefined || namespace === undefined || key === undefined ? undefined : { namespace, name, route: key };
}
