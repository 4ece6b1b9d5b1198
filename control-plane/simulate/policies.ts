// What a route asks for beside the destination: timeout, retries, mirrors, hash policy. In the units a person reads.

import type {
  RetryPolicy,
  RouteAction,
  RouteAction_HashPolicy,
  RouteAction_RequestMirrorPolicy,
  VirtualHost,
} from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import { milliseconds } from "./duration.ts";
import { shareOf } from "./fraction.ts";
import { headerValues, queryParameter, type SimulatedRequest } from "./request.ts";

/** Envoy's route timeout where none is set. */
const DEFAULT_TIMEOUT_MS = 15_000;

/** Retries of a route. */
export interface Retries {
  /** Conditions as configured, such as `connect-failure`. */
  readonly on: readonly string[];
  readonly attempts: number;
  /** Undefined: the route's timeout alone bounds a try. */
  readonly perTryTimeoutMs: number | undefined;
  readonly statusCodes: readonly number[];
  readonly baseIntervalMs: number;
}

/** A copy of the request, and the share of requests that are copied, from 0 to 1. */
export interface MirrorCopy {
  /** Undefined where the header that names it is absent. */
  readonly cluster: string | undefined;
  readonly share: number;
  readonly authority: string;
}

/** One part of the hash by which an endpoint is chosen. */
export interface HashInput {
  readonly kind: "header" | "cookie" | "source address" | "query parameter" | "filter state";
  readonly name: string;
  /** Undefined where the request has none: then this part counts for nothing. */
  readonly value: string | undefined;
  readonly terminal: boolean;
}

/** The route's timeout in milliseconds; undefined for none. */
export function timeoutOf(action: RouteAction): number | undefined {
  const ms = action.timeout === undefined ? DEFAULT_TIMEOUT_MS : milliseconds(action.timeout);
  return ms === 0 ? undefined : ms;
}

/** The route's retries, else its virtual host's. */
export function retriesOf(action: RouteAction, virtualHost: VirtualHost): Retries | undefined {
  const policy: RetryPolicy | undefined = action.retryPolicy ?? virtualHost.retryPolicy;
  if (policy === undefined || policy.retryOn === "") return undefined;
  return {
    on: policy.retryOn.split(",").map((condition) => condition.trim()),
    attempts: policy.numRetries ?? 1,
    perTryTimeoutMs: policy.perTryTimeout && milliseconds(policy.perTryTimeout),
    statusCodes: policy.retriableStatusCodes,
    baseIntervalMs: policy.retryBackOff?.baseInterval ? milliseconds(policy.retryBackOff.baseInterval) : 25,
  };
}

/** The mirrors of the most specific level that has any. `authority` is the one that goes upstream. */
export function mirrorCopies(
  levels: readonly [RouteAction, VirtualHost, RouteConfiguration],
  request: SimulatedRequest,
  authority: string,
): readonly MirrorCopy[] {
  const policies = levels.map(({ requestMirrorPolicies }) => requestMirrorPolicies).find(({ length }) => length > 0) ?? [];
  return policies.map((policy) => mirrorCopy(policy, request, authority));
}

/** The hash policy with what this request gives for each of its parts. */
export function hashInputs(action: RouteAction, request: SimulatedRequest): readonly HashInput[] {
  return action.hashPolicy.map((policy) => ({ ...hashInput(policy, request), terminal: policy.terminal }));
}

/** The value of a cookie, without the quotes that it may stand in; undefined where there is none, or an empty one. */
function cookieValue(request: SimulatedRequest, name: string): string | undefined {
  const pairs = (request.headers.cookie ?? []).flatMap((header) => header.split(";").map((pair) => pair.trim()));
  const pair = pairs.find((candidate) => candidate.startsWith(`${name}=`));
  const value = pair?.slice(name.length + 1).replace(/^"(.*)"$/, "$1");
  return value === "" ? undefined : value;
}

function mirrorCopy(policy: RouteAction_RequestMirrorPolicy, request: SimulatedRequest, authority: string): MirrorCopy {
  return {
    cluster: policy.cluster !== "" ? policy.cluster : headerValues(request, policy.clusterHeader)[0],
    share: policy.runtimeFraction === undefined ? 1 : shareOf(policy.runtimeFraction.defaultValue),
    authority: policy.disableShadowHostSuffixAppend ? authority : shadowed(authority),
  };
}

/** `-shadow` goes before the port. Source: shadow_writer_impl.cc. */
function shadowed(authority: string): string {
  return authority.replace(/(:\d+)?$/, (port) => `-shadow${port}`);
}

function hashInput({ policySpecifier: policy }: RouteAction_HashPolicy, request: SimulatedRequest): Omit<HashInput, "terminal"> {
  switch (policy.case) {
    case "header":
      return { kind: "header", name: policy.value.headerName, value: headerValues(request, policy.value.headerName)[0] };
    case "cookie":
      return { kind: "cookie", name: policy.value.name, value: cookieValue(request, policy.value.name) };
    case "queryParameter":
      return { kind: "query parameter", name: policy.value.name, value: queryParameter(request.path, policy.value.name) };
    case "filterState":
      return { kind: "filter state", name: policy.value.key, value: undefined };
    case "connectionProperties":
    case undefined:
      return { kind: "source address", name: "", value: policy.case === undefined ? undefined : request.sourceAddress };
  }
}
