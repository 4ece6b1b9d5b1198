// What served last and was right: plain JSON that outlives the process, so that a mistake in a file changes nothing, also after a restart.

/** A value of JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** One resource as it last was without a mistake. */
export interface RememberedResource {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The document as plain values. */
  readonly document: Json;
  /** {@link Resource.digest} of it. */
  readonly digest: string;
}

/** What is right by itself, and what serves. */
export interface LastGood {
  readonly version: 1;
  /** The last version without a mistake of its own of every resource that there is, sorted by (kind, namespace, name). */
  readonly resources: readonly RememberedResource[];
  /** The VirtualServices and DestinationRules that serve: they may wait for each other. */
  readonly settled: readonly RememberedResource[];
}

/** Where nothing has served yet. */
export const EMPTY_LAST_GOOD: LastGood = { version: 1, resources: [], settled: [] };
