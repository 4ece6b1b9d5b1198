// HTTPRetry. Source: Istio ValidateHTTPRetry; Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on.
import { nearest } from "../model/nearest.ts";
import type { FieldPath } from "../model/resource.ts";
import type { HttpRetry } from "../model/virtual-service.ts";
import { error, type Problem } from "./problem.ts";
import { checkDuration } from "./values.ts";

const CONDITIONS: ReadonlySet<string> = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

/** The retries of a route. */
export function checkRetries(retries: HttpRetry | undefined, path: FieldPath): readonly Problem[] {
  if (retries === undefined) return [];
  const { attempts, perTryTimeout, retryOn, retryRemoteLocalities, backoff } = retries;
  const configured = perTryTimeout !== undefined || (retryOn ?? "") !== "" || retryRemoteLocalities !== undefined;
  return [
    ...(attempts === 0 && configured
      ? [error("WEFT0320", path, "these retries have no attempts, so that none is made", "add `attempts: 2`, or remove the other fields")]
      : []),
    ...checkDuration(perTryTimeout, [...path, "perTryTimeout"]),
    ...checkDuration(backoff, [...path, "backoff"]),
    ...(retryOn === undefined || retryOn === "" ? [] : retryOn.split(",").flatMap((condition) => checkCondition(condition, [...path, "retryOn"]))),
  ];
}

function checkCondition(condition: string, path: FieldPath): readonly Problem[] {
  if (CONDITIONS.has(condition) || isStatusCode(condition)) return [];
  const meant = nearest(condition.trim(), CONDITIONS);
  const fix =
    meant === undefined
      ? `use status codes or ${[...CONDITIONS].join(", ")}`
      : `write \`${meant}\`${condition.includes(" ") ? ", without spaces around the commas" : ""}`;
  return [error("WEFT0321", path, `"${condition}" is not a condition of retryOn`, fix)];
}

/** Codes that HTTP names, as first and last of each run. */
const STATUS_RUNS = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
] as const;

function isStatusCode(text: string): boolean {
  return /^\d{3}$/.test(text) && STATUS_RUNS.some(([first, last]) => Number(text) >= first && Number(text) <= last);
}
