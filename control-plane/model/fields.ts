// The field types that Istio's kinds share. Each schema turns a YAML value into a typed one, with units in the name of what it gives.
import { z } from "zod";

const DURATION = /^(?:\d+(?:\.\d+)?(?:h|m|s|ms|us|µs|ns))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 0.001, µs: 0.001, ns: 0.000_001 };

/** Milliseconds of a Go duration (`1h30m`, `1.5s`, `100ms`). The text must match {@link durationMs}'s pattern. */
export function parseDurationMs(text: string): number {
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(DURATION_PART)) totalMs += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
  return totalMs;
}

/** A Go duration, given as milliseconds. */
export const durationMs = z
  .string({ error: "expected a duration such as 5s, 100ms or 1h" })
  .refine((text) => text === "0" || DURATION.test(text), { error: "expected a duration such as 5s, 100ms or 1h" })
  .transform((text) => (text === "0" ? 0 : parseDurationMs(text)));

/** Istio's StringMatch: exactly one of the three. `present` stands for the empty match `{}`, which on a header asks for presence only. */
export type StringMatch =
  | { readonly kind: "exact"; readonly value: string }
  | { readonly kind: "prefix"; readonly value: string }
  | { readonly kind: "regex"; readonly value: string }
  | { readonly kind: "present" };

/** Source: Istio reference, StringMatch. */
export const stringMatch = z
  .strictObject({ exact: z.string().optional(), prefix: z.string().optional(), regex: z.string().optional() })
  .transform((match, context): StringMatch => {
    const set = (["exact", "prefix", "regex"] as const).filter((kind) => match[kind] !== undefined);
    const kind = set[0];
    if (kind === undefined) return { kind: "present" };
    if (set.length > 1) context.addIssue({ code: "custom", message: `only one of exact, prefix and regex may be set, not ${set.join(" and ")}` });
    return { kind, value: match[kind] ?? "" };
  });

/** A TCP port, 1 to 65535. */
export const portNumber = z.int().min(1).max(65_535);
/** A count that may not be negative, up to 2^31-1 (Istio's int32). */
export const nonNegativeInt = z.int().min(0).max(2_147_483_647);
/** A protobuf uint32. */
export const uint32 = z.int().min(0).max(4_294_967_295);
/** Labels or annotations. */
export const stringMap = z.record(z.string(), z.string());
/** Istio's Percent: 0 to 100. */
export const percent = z.strictObject({ value: z.number().min(0).max(100).default(0) });
/** Header names to values, for `set` and `add`. */
export const headerMap = z.record(z.string(), z.string());

/** Istio's Headers.HeaderOperations; in Envoy removal comes first. */
export const headerOperations = z.strictObject({
  set: headerMap.default({}),
  add: headerMap.default({}),
  remove: z.array(z.string()).default([]),
});
/** Istio's Headers: changes to the request on its way to the destination, and to the response on its way back. */
export const headers = z.strictObject({ request: headerOperations.optional(), response: headerOperations.optional() });

export type HeaderOperations = z.output<typeof headerOperations>;
export type Headers = z.output<typeof headers>;
