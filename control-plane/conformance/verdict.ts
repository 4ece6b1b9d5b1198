// What a comparison with Istio gives. Each source of answers is one function from its lines to verdicts.

/** One recorded answer, and whether Weft gives the same. */
export interface Verdict {
  /** As the line names itself, or its number. */
  readonly id: string;
  readonly agreed: boolean;
  /** What Istio says and what Weft says; empty where they agree. */
  readonly reason: string;
  /** What the line is about, to count by: a kind, an analyzer. */
  readonly group?: string;
  /** Why the line is not counted; absent where it is. */
  readonly excluded?: string;
}

/** Compares the lines of one file: JSON values as they were recorded, whatever their form. */
export type Comparison = (lines: readonly unknown[]) => readonly Verdict[] | Promise<readonly Verdict[]>;

/** Counted verdicts, how many of them agree. */
export function tally(verdicts: readonly Verdict[]): { readonly agreed: number; readonly counted: number } {
  const counted = verdicts.filter(({ excluded }) => excluded === undefined);
  return { agreed: counted.filter(({ agreed }) => agreed).length, counted: counted.length };
}
