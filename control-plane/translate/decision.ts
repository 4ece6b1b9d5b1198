// From the destinations of a route to what decides between them: nothing, Envoy's plain weights, or a decision record for the filter.
import { decisionId, type EncodedDecision, encodeDecisionRecord, type KeySource, type StickyKey } from "./decision-record.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { entryWidths } from "./weights.ts";

/** A destination of a route as one proxy reaches it: one cluster, or one per zone that has a share. */
export interface RoutedDestination<Changes> {
  /** Above 0, except where the route has a single destination. */
  readonly weight: number;
  readonly host: string;
  readonly port: number;
  readonly subset: string;
  /** What the route does to requests and responses of this destination only; equal texts mean equal changes. */
  readonly changes: Changes;
  readonly changesText: string;
  readonly entries: readonly { readonly cluster: ClusterKey; readonly share: number }[];
}

/** How the choice is made, where there is one. */
export interface ChoiceOptions {
  readonly key: StickyKey;
  readonly salt: string;
  readonly zoneKey?: KeySource;
  /** `native`: Envoy draws by weight where that is enough (not sticky, no zones). */
  readonly decisions: "filter" | "native";
}

/** One entry of weighted_clusters. */
interface WeightedEntry<Changes> {
  readonly cluster: string;
  readonly width: number;
  readonly changes: Changes;
}

export type Choice<Changes> =
  | { readonly kind: "single"; readonly cluster: string; readonly changes: Changes }
  | {
      readonly kind: "weighted";
      readonly entries: readonly WeightedEntry<Changes>[];
      /** Absent where Envoy draws by itself. */
      readonly decision?: EncodedDecision;
      /** Why the filter cannot hold this choice, so that Envoy draws by itself though more was asked for. */
      readonly refusal?: string;
    };

/**
 * The choice between destinations that all have endpoints (or between all of them, where none has). `destinations` is not empty.
 * A choice between several is one route with a decision record; weights that are all 0 count as equal, which validation has refused before.
 */
export function chooseAmong<Changes>(
  destinations: readonly [RoutedDestination<Changes>, ...RoutedDestination<Changes>[]],
  options: ChoiceOptions,
): Choice<Changes> {
  const candidates = mergeEqual(destinations);
  const [first] = destinations;
  const [only, ...others] = first.entries;
  if (candidates.length === 1 && only !== undefined && others.length === 0) {
    return { kind: "single", cluster: outboundClusterName(only.cluster), changes: first.changes };
  }
  const widths = entryWidths(candidates.map(({ weight, entries }) => ({ weight, shares: entries.map(({ share }) => share) })));
  const entries = candidates.map(({ entries, changes }, i) =>
    entries.map(({ cluster }, j) => ({ cluster: outboundClusterName(cluster), width: widths[i]?.[j] ?? 1, changes })),
  );
  const divided = candidates.some((candidate) => candidate.entries.length > 1);
  const weighted = { kind: "weighted", entries: entries.flat() } as const;
  if (options.decisions === "native" && options.key.kind === "none" && !divided) return weighted;
  try {
    const decision = encodeDecisionRecord({
      key: options.key,
      salt: options.salt,
      ...(divided && options.zoneKey !== undefined ? { zoneKey: options.zoneKey } : {}),
      candidates: candidates.map(({ weight, identity }, i) => ({ weight, identity, entries: entries[i] ?? [] })),
    });
    return { ...weighted, decision };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { ...weighted, refusal: error.message };
  }
}

type Candidate<Changes> = RoutedDestination<Changes> & { readonly identity: string };

/**
 * The same destination written twice is one candidate with both weights: two with one identity would hash alike, and the heavier would take all.
 * Where the two change requests differently they stay apart, by a hash of the changes in the identity.
 */
function mergeEqual<Changes>(destinations: readonly RoutedDestination<Changes>[]): readonly Candidate<Changes>[] {
  const base = ({ host, port, subset }: RoutedDestination<Changes>): string => `${host}|${port}|${subset}`;
  const merged = new Map<string, Candidate<Changes>>();
  for (const destination of destinations) {
    const variants = new Set(destinations.filter((other) => base(other) === base(destination)).map(({ changesText }) => changesText));
    const identity = variants.size > 1 ? `${base(destination)}|${decisionId(destination.changesText)}` : base(destination);
    const weight = Math.max(1, destination.weight) + (merged.get(identity)?.weight ?? 0);
    merged.set(identity, { ...destination, identity, weight: Math.min(weight, 2 ** 32 - 1) });
  }
  return [...merged.values()];
}
