// The faults that a route injects, from the fault filter's per-route configuration.
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { FilterConfigSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type HTTPFault, HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { headerFailure } from "./condition.ts";
import { milliseconds } from "./duration.ts";
import { shareOf } from "./fraction.ts";
import type { SimulatedRequest } from "./request.ts";

/** Faults of a route; shares are from 0 to 1, and the delay and the abort are drawn independently. */
export interface Faults {
  /** `ms` is undefined where the client's own header says it. */
  readonly delay?: { readonly ms: number | undefined; readonly share: number };
  /** An HTTP status, a gRPC status, or neither where the client's own header says it. */
  readonly abort?: { readonly httpStatus?: number; readonly grpcStatus?: number; readonly share: number };
}

/** Per-filter configurations, the most specific first. */
export type PerFilterConfigs = readonly Readonly<Record<string, Any>>[];

/**
 * The faults for a request that goes to `cluster`: those of the most specific level that configures the fault filter, where its own conditions hold.
 * Undefined where there are none, or where that level turns the filter off.
 */
export function faultsFor(configs: PerFilterConfigs, request: SimulatedRequest, cluster: string): Faults | undefined {
  for (const config of configs) {
    for (const any of Object.values(config)) {
      const fault = faultOf(any);
      if (fault === undefined) continue;
      return fault !== "disabled" && applies(fault, request, cluster) ? summary(fault) : undefined;
    }
  }
  return undefined;
}

/** The fault in a per-filter configuration: bare, or wrapped in a FilterConfig. Undefined for another filter's. */
function faultOf(any: Any): HTTPFault | "disabled" | undefined {
  if (any.typeUrl.endsWith(`/${HTTPFaultSchema.typeName}`)) return fromBinary(HTTPFaultSchema, any.value);
  if (!any.typeUrl.endsWith(`/${FilterConfigSchema.typeName}`)) return undefined;
  const { config, disabled } = fromBinary(FilterConfigSchema, any.value);
  if (config === undefined || !config.typeUrl.endsWith(`/${HTTPFaultSchema.typeName}`)) return undefined;
  return disabled ? "disabled" : fromBinary(HTTPFaultSchema, config.value);
}

function applies(fault: HTTPFault, request: SimulatedRequest, cluster: string): boolean {
  if (fault.upstreamCluster !== "" && fault.upstreamCluster !== cluster) return false;
  return fault.headers.every((matcher) => headerFailure(matcher, request) === undefined);
}

function summary({ delay, abort }: HTTPFault): Faults | undefined {
  if (delay === undefined && abort === undefined) return undefined;
  const error = abort?.errorType;
  return {
    ...(delay && {
      delay: {
        ms: delay.faultDelaySecifier.case === "fixedDelay" ? milliseconds(delay.faultDelaySecifier.value) : undefined,
        share: shareOf(delay.percentage),
      },
    }),
    ...(abort && {
      abort: {
        ...(error?.case === "httpStatus" ? { httpStatus: error.value } : {}),
        ...(error?.case === "grpcStatus" ? { grpcStatus: error.value } : {}),
        share: shareOf(abort.percentage),
      },
    }),
  };
}
