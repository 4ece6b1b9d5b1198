// Shares of requests: Envoy's fractional percentages, and whether a random number falls below one.
import type { RuntimeFractionalPercent } from "../gen/envoy/config/core/v3/base_pb.js";
import { type FractionalPercent, FractionalPercent_DenominatorType } from "../gen/envoy/type/v3/percent_pb.js";

/** Percentages that a proxy's runtime sets by key, instead of those in the configuration. */
export type Runtime = Readonly<Record<string, number>>;

/** What one hundred percent is in the unit of a fraction. */
export function denominatorOf(percent: FractionalPercent | undefined): number {
  switch (percent?.denominator) {
    case FractionalPercent_DenominatorType.TEN_THOUSAND:
      return 10_000;
    case FractionalPercent_DenominatorType.MILLION:
      return 1_000_000;
    default:
      return 100;
  }
}

/** The share of requests, from 0 to 1; an absent fraction is 0, as an unset message is. */
export function shareOf(percent: FractionalPercent | undefined): number {
  return Math.min(1, (percent?.numerator ?? 0) / denominatorOf(percent));
}

/** Whether the request with this random number is within the fraction. Source: ProtobufPercentHelper::evaluateFractionalPercent. */
export function isWithin(fraction: RuntimeFractionalPercent, random: number, runtime: Runtime): boolean {
  const override = runtime[fraction.runtimeKey];
  if (override !== undefined) return random % 100 < override;
  return random % denominatorOf(fraction.defaultValue) < (fraction.defaultValue?.numerator ?? 0);
}
