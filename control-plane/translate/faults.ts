// Istio's fault injection to the configuration of Envoy's fault filter for one route.

import type { Any } from "@bufbuild/protobuf/wkt";
import { type FaultAbortSchema, HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import type { HttpFault } from "../model/virtual-service.ts";
import { packAny } from "./any.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";
import { fractionalPercent } from "./percentage.ts";

/** Name of the fault filter in the chain, and the key of its per-route configuration. */
export const FAULT_FILTER = "envoy.filters.http.fault";

const GRPC_STATUS: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The delay and the abort of a route, or undefined where it asks for neither. A delay comes before an abort of the same request. */
export function httpFault(fault: HttpFault | undefined): Any | undefined {
  const delay = fault?.delay;
  const delayed = delay?.fixedDelay !== undefined && { delay: { faultDelaySecifier: fixedDelay(delay.fixedDelay), percentage: share(delay) } };
  const abort = fault?.abort && abortKind(fault.abort);
  if (!delayed && abort === undefined) return undefined;
  return packAny(HTTPFaultSchema, {
    ...(delayed || {}),
    ...(abort && { abort: { errorType: abort, percentage: share(fault?.abort ?? {}) } }),
  });
}

function fixedDelay(ms: number): { case: "fixedDelay"; value: ReturnType<typeof duration> } {
  return { case: "fixedDelay", value: duration(ms) };
}

function share(part: {
  readonly percentage?: { readonly value: number } | undefined;
  readonly percent?: number | undefined;
}): ReturnType<typeof fractionalPercent> {
  return fractionalPercent(part.percentage?.value ?? part.percent);
}

type AbortKind = Exclude<Init<typeof FaultAbortSchema>["errorType"], undefined>;

/** Undefined for a status that validation has already refused. */
function abortKind(abort: NonNullable<HttpFault["abort"]>): AbortKind | undefined {
  if (abort.httpStatus !== undefined) return { case: "httpStatus", value: abort.httpStatus };
  const status = GRPC_STATUS.indexOf(abort.grpcStatus ?? "");
  return status < 0 ? undefined : { case: "grpcStatus", value: status };
}
