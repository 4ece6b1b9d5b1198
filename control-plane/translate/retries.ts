// Which failures are tried again, and for which requests: the retry policies of a route.

import type { HeaderMatcherSchema, RetryPolicySchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { PreviousHostsPredicateSchema } from "../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { PreviousPrioritiesConfigSchema } from "../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
import type { HttpRetry } from "../model/virtual-service.ts";
import { packAny } from "./any.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";
import { RETRY_MARKER_HEADER } from "./names.ts";

export type RetryPolicyInit = Init<typeof RetryPolicySchema>;

/** A policy belongs to a route, so policies that differ by method need two routes. */
export type Retries =
  | { readonly kind: "none" }
  | { readonly kind: "alike"; readonly policy: RetryPolicyInit }
  | { readonly kind: "by method"; readonly repeatable: RetryPolicyInit; readonly others: RetryPolicyInit };

/** Methods that are safe to send twice. Source: RFC 9110, section 9.2.2 (idempotent methods). */
export const REPEATABLE_METHODS: readonly string[] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];

/** The request did not leave this proxy, or (the marker) did not reach the application beside the other one: safe for every method. */
const UNSENT = "connect-failure,refused-stream,reset-before-request,retriable-headers";
/** The connection broke after the request may have arrived. */
const PERHAPS_SENT = "connect-failure,refused-stream,reset,retriable-headers";
/** Source: Istio 1.32, pilot/pkg/networking/core/route/retry/retry.go. */
const ISTIO_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const DEFAULT_ATTEMPTS = 2;
/** Tries to find a host that this request has not been at before giving up and taking one that it has. */
const HOST_SELECTION_ATTEMPTS = 5n;

/**
 * The retry policy of a route. `attempts: 0` switches retries off; what a written policy leaves out falls to the mesh's defaults.
 * `hashed`: hosts are chosen by a consistent hash.
 */
export function retriesOf(retry: HttpRetry | undefined, defaults: "weft" | "istio", hashed: boolean): Retries {
  if (retry !== undefined && retry.attempts === 0) return { kind: "none" };
  const written = retry?.retryOn === undefined || retry.retryOn === "" ? undefined : parseRetryOn(retry.retryOn);
  const common = limits(retry);
  if (defaults === "istio") {
    const ignorePrevious = retry?.retryIgnorePreviousHosts ?? !hashed;
    const policy = { ...common, ...(written ?? { retryOn: ISTIO_RETRY_ON }), ...elsewhere(ignorePrevious, retry?.retryRemoteLocalities ? 2 : undefined) };
    return { kind: "alike", policy };
  }
  const places = elsewhere(retry?.retryIgnorePreviousHosts ?? true, retry?.retryRemoteLocalities === false ? undefined : 1);
  if (written !== undefined) return { kind: "alike", policy: { ...common, ...written, ...places } };
  return {
    kind: "by method",
    repeatable: { ...common, ...places, retryOn: PERHAPS_SENT, retriableHeaders: [marker({ case: "presentMatch", value: true })] },
    others: {
      ...common,
      ...places,
      retryOn: UNSENT,
      retriableHeaders: [marker({ case: "stringMatch", value: { matchPattern: { case: "exact", value: "unsent" } } })],
    },
  };
}

function limits(retry: HttpRetry | undefined): RetryPolicyInit {
  return {
    numRetries: retry?.attempts ?? DEFAULT_ATTEMPTS,
    hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
    ...(retry?.perTryTimeout ? { perTryTimeout: duration(retry.perTryTimeout) } : {}),
    ...(retry?.backoff ? { retryBackOff: { baseInterval: duration(retry.backoff) } } : {}),
  };
}

/**
 * Where a retry may go. Avoiding hosts that were tried is not enough where the own zone has one endpoint: Envoy then gives in and asks it again,
 * so priorities (zones) that were tried are left out too, after `priorityFrequency` attempts.
 */
function elsewhere(ignorePreviousHosts: boolean, priorityFrequency: number | undefined): RetryPolicyInit {
  return {
    ...(ignorePreviousHosts
      ? {
          retryHostPredicate: [
            { name: "envoy.retry_host_predicates.previous_hosts", configType: { case: "typedConfig", value: packAny(PreviousHostsPredicateSchema, {}) } },
          ],
        }
      : {}),
    ...(priorityFrequency === undefined
      ? {}
      : {
          retryPriority: {
            name: "envoy.retry_priorities.previous_priorities",
            configType: { case: "typedConfig", value: packAny(PreviousPrioritiesConfigSchema, { updateFrequency: priorityFrequency }) },
          },
        }),
  };
}

function marker(condition: NonNullable<Init<typeof HeaderMatcherSchema>["headerMatchSpecifier"]>): Init<typeof HeaderMatcherSchema> {
  return { name: RETRY_MARKER_HEADER, headerMatchSpecifier: condition };
}

/** Istio lets status codes stand among Envoy's conditions. Source: retry.go, parseRetryOn. */
function parseRetryOn(text: string): { readonly retryOn: string; readonly retriableStatusCodes: number[] } {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const codes = parts.filter((part) => /^[1-5][0-9]{2}$/.test(part)).map(Number);
  const conditions = parts.filter((part) => !/^[1-5][0-9]{2}$/.test(part));
  const needsCodes = codes.length > 0 && !conditions.includes("retriable-status-codes");
  return { retryOn: [...conditions, ...(needsCodes ? ["retriable-status-codes"] : [])].join(","), retriableStatusCodes: codes };
}
