// Istio's percentages to Envoy's fractions.
import { FractionalPercent_DenominatorType } from "../gen/envoy/type/v3/percent_pb.js";

/** A share of requests, to a ten-thousandth of a percent; absent means all of them. */
export function fractionalPercent(percent: number | undefined): { readonly numerator: number; readonly denominator: FractionalPercent_DenominatorType } {
  if (percent === undefined) return { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED };
  return { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
}
