// Times of Envoy's messages in milliseconds.
import type { Duration } from "@bufbuild/protobuf/wkt";

/** Milliseconds of a duration. */
export function milliseconds(duration: Pick<Duration, "seconds" | "nanos">): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1_000_000;
}
