// google.protobuf.Duration from milliseconds, as every resource of Envoy wants its times.

/** Seconds and nanoseconds of a time in milliseconds, which may have a fraction. */
export function duration(ms: number): { readonly seconds: bigint; readonly nanos: number } {
  const seconds = Math.floor(ms / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1_000_000) };
}
