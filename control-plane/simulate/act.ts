// What happens to a request that a route has taken: forwarded (to which cluster, as what), redirected, or answered by the proxy.
import type { Any } from "@bufbuild/protobuf/wkt";
import type { DataSource } from "../gen/envoy/config/core/v3/base_pb.js";
import type { DirectResponseAction, Route, RouteAction, VirtualHost } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import { type ClusterChoice, type ClusterChoices, clusterChoices } from "./choose-cluster.ts";
import { type Faults, faultsFor } from "./faults.ts";
import { formatValue } from "./format.ts";
import { applySteps, type HeaderLevels, type HeaderStep, requestSteps, responseSteps } from "./header-changes.ts";
import { type HashInput, hashInputs, type MirrorCopy, mirrorCopies, type Retries, retriesOf, timeoutOf } from "./policies.ts";
import { type HeaderMap, isGrpc, type SimulatedRequest } from "./request.ts";
import { redirectStatus, redirectTarget, rewrittenAuthority, rewrittenPath } from "./rewrite.ts";

/** A request on its way to one cluster. */
export interface ForwardedRequest {
  /** Undefined where the header that is to name the cluster is absent. */
  readonly cluster: string | undefined;
  /** Of all requests that the route takes, from 0 to 1. */
  readonly share: number;
  readonly authority: string;
  /** True where the endpoint's own name takes the authority's place, if it has one. */
  readonly authorityFromEndpoint: boolean;
  readonly path: string;
  /** After the route's operations. What the proxy adds of its own accord (`x-request-id`, `x-envoy-…`) is left out. */
  readonly headers: HeaderMap;
  readonly requestSteps: readonly HeaderStep[];
  readonly responseSteps: readonly HeaderStep[];
  readonly faults?: Faults;
}

/** Forwarded: to `destinations[chosen]`, and to the others where the proxy's choice falls on them. */
export interface Forwarding {
  readonly kind: "forward";
  readonly destinations: readonly ForwardedRequest[];
  readonly chosen: number;
  readonly by: ClusterChoices["by"];
  /** What the proxy answers where the chosen cluster is unknown to it. */
  readonly statusWithoutCluster: number;
  readonly timeoutMs: number | undefined;
  readonly retries?: Retries;
  readonly mirrors: readonly MirrorCopy[];
  readonly hash: readonly HashInput[];
}

/** Answered by the proxy itself. A gRPC client gets status 200 and `grpcStatus`. */
export interface LocalAnswer {
  readonly kind: "redirect" | "direct response";
  readonly status: number;
  readonly grpcStatus?: number;
  /** Where the status asks for one: a redirect, but also a direct response with 201 or 3xx. */
  readonly location?: string;
  /** Undefined for a body that stands in a file or a variable of the proxy's machine. */
  readonly body: string | undefined;
  /** The path that `%REQ(:path)%` gives in response headers: a redirect's rewrite has been applied to it. */
  readonly path: string;
  readonly responseSteps: readonly HeaderStep[];
  /** The fault filter comes first: an abort answers in this answer's stead, without the route's header operations. */
  readonly faults?: Faults;
}

/** An action that only the proxy can take. */
interface UnsupportedAction {
  readonly kind: "unsupported";
  readonly what: string;
}

export type Action = Forwarding | LocalAnswer | UnsupportedAction;

/** The action of a route on a request. Throws where RE2 refuses a pattern: Envoy refuses such a configuration as a whole. */
export function act(levels: Omit<HeaderLevels, "destination">, request: SimulatedRequest): Action {
  const { action } = levels.route;
  switch (action.case) {
    case "route":
      return forward(levels, action.value, request);
    case "redirect": {
      const { location, path } = redirectTarget(levels.route, action.value, request);
      return { ...localAnswer("redirect", redirectStatus(action.value.responseCode), request, levels), location, path, body: "" };
    }
    case "directResponse":
      return directResponse(action.value, request, levels);
    case "filterAction":
    case "nonForwardingAction":
    case undefined:
      return { kind: "unsupported", what: action.case ?? "no action" };
  }
}

/** A response's headers after a route's operations. `request` is the one that went upstream, or the client's where none did. */
export function answeredHeaders(headers: HeaderMap, steps: readonly HeaderStep[], request: SimulatedRequest): HeaderMap {
  return applySteps(headers, steps, (template, current) => formatValue(template, request, current));
}

/**
 * The headers of an answer that the proxy gives by itself; what its server adds (`date`, `server`) is left out.
 * Source: http/utility.cc, prepareLocalReply: the route's operations come before content type and length.
 */
export function localHeaders(answer: LocalAnswer, request: SimulatedRequest): HeaderMap {
  const located = answer.location === undefined ? {} : { location: [answer.location] };
  const headers = answeredHeaders(located, answer.responseSteps, { ...request, path: answer.path });
  if (answer.grpcStatus !== undefined) return { ...headers, "content-type": ["application/grpc"], "grpc-status": [String(answer.grpcStatus)] };
  const { "content-type": type, "content-length": _, ...others } = headers;
  if (answer.body === undefined || answer.body === "") return others;
  return { ...others, "content-type": type ?? ["text/plain"], "content-length": [String(new TextEncoder().encode(answer.body).length)] };
}

/** The headers of an answer that the proxy gives in an upstream's stead: a fault's abort, an unknown cluster. */
export function failureHeaders(destination: ForwardedRequest, request: SimulatedRequest): HeaderMap {
  return answeredHeaders({}, destination.responseSteps, request);
}

/** The HTTP status of an answer that the proxy gives by itself, and the gRPC status for a gRPC client. Source: Grpc::Utility::httpToGrpcStatus. */
export function localStatus(status: number, request: SimulatedRequest): { readonly status: number; readonly grpcStatus?: number } {
  if (!isGrpc(request)) return { status };
  const known: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };
  return { status: 200, grpcStatus: known[status] ?? 2 };
}

function localAnswer(kind: LocalAnswer["kind"], status: number, request: SimulatedRequest, levels: HeaderLevels): Omit<LocalAnswer, "body"> {
  const faults = faultsFor(perFilterConfigs(levels), request, "");
  return { kind, ...localStatus(status, request), path: request.path, responseSteps: responseSteps(levels), ...(faults ? { faults } : {}) };
}

function directResponse(response: DirectResponseAction, request: SimulatedRequest, levels: HeaderLevels): LocalAnswer {
  const { status } = response;
  // Envoy names the request's own address in `location` where the status asks for one. Source: router.cc, decodeHeaders.
  const located = status === 201 || (status >= 300 && status < 400);
  return {
    ...localAnswer("direct response", status, request, levels),
    ...(located ? { location: `${request.scheme}://${request.authority}${request.path}` } : {}),
    body: bodyText(response.body),
  };
}

function bodyText(body: DataSource | undefined): string | undefined {
  switch (body?.specifier.case) {
    case "inlineString":
      return body.specifier.value;
    case "inlineBytes":
      return new TextDecoder().decode(body.specifier.value);
    case "filename":
    case "environmentVariable":
      return undefined;
    case undefined:
      return "";
  }
}

function forward(levels: HeaderLevels, action: RouteAction, request: SimulatedRequest): Action {
  const clusters = clusterChoices(action, request);
  if (clusters === undefined) return { kind: "unsupported", what: action.clusterSpecifier.case ?? "no cluster" };
  const destinations = clusters.choices.map((choice) => forwarded(levels, action, choice, request));
  const retries = retriesOf(action, levels.virtualHost);
  return {
    kind: "forward",
    destinations,
    chosen: clusters.chosen,
    by: clusters.by,
    statusWithoutCluster: [503, 404, 500][action.clusterNotFoundResponseCode] ?? 503,
    timeoutMs: timeoutOf(action),
    ...(retries ? { retries } : {}),
    mirrors: mirrorCopies([action, levels.virtualHost, levels.configuration], request, destinations[clusters.chosen]?.authority ?? request.authority),
    hash: hashInputs(action, request),
  };
}

/** Operations come first, in their order; then the authority, then the path. Source: weighted_cluster_specifier.cc and config_impl.cc, finalizeRequestHeaders. */
function forwarded(common: HeaderLevels, action: RouteAction, choice: ClusterChoice, request: SimulatedRequest): ForwardedRequest {
  const { destination } = choice;
  const levels: HeaderLevels = destination === undefined ? common : { ...common, destination };
  const literal = destination?.hostRewriteSpecifier.value ?? "";
  const steps = requestSteps(levels);
  const own = steps.filter(({ level }) => level === "destination");
  const others = steps.filter(({ level }) => level !== "destination");
  const first = applySteps(request.headers, own, (template, headers) => formatValue(template, { ...request, headers }));
  const named: SimulatedRequest = { ...request, headers: first, authority: literal === "" ? request.authority : literal };
  const headers = applySteps(first, others, (template, current) => formatValue(template, { ...named, headers: current }));
  const rewritten = rewrittenAuthority(action, named.authority, headers, request.path);
  const faults = faultsFor(perFilterConfigs(levels), request, choice.cluster ?? "");
  return {
    cluster: choice.cluster,
    share: choice.share,
    authority: rewritten.authority,
    authorityFromEndpoint: rewritten.fromEndpoint,
    path: rewrittenPath(common.route.match, action, request.path),
    headers: rewritten.forwardedHost === undefined ? headers : withForwardedHost(headers, rewritten.forwardedHost),
    requestSteps: steps,
    responseSteps: responseSteps(levels),
    ...(faults ? { faults } : {}),
  };
}

/** `x-forwarded-host` names every authority once in a row. Source: http/utility.cc, updateAuthority. */
function withForwardedHost(headers: HeaderMap, host: string): HeaderMap {
  const known = headers["x-forwarded-host"]?.join(",");
  if (known?.split(",").at(-1) === host) return headers;
  return { ...headers, "x-forwarded-host": [known === undefined ? host : `${known},${host}`] };
}

function perFilterConfigs({ configuration, virtualHost, route, destination }: HeaderLevels): readonly Readonly<Record<string, Any>>[] {
  const levels: readonly (Route | VirtualHost | RouteConfiguration)[] = [route, virtualHost, configuration];
  return [...(destination ? [destination] : []), ...levels].map(({ typedPerFilterConfig }) => typedPerFilterConfig);
}
