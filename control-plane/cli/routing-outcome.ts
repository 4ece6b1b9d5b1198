// What became of a request, in the words of a routing test: an answer comes in, one value with a field for each thing that can be expected goes out. Pure.
import { answeredHeaders, type Forwarding, localHeaders } from "../simulate/act.ts";
import type { DecidedSimulation } from "../simulate/decide.ts";
import type { Faults } from "../simulate/faults.ts";
import type { HeaderMap, SimulatedRequest } from "../simulate/request.ts";
import { parseDecisionRecord } from "../translate/decision-record.ts";
import type { OfflineAnswer } from "./offline-mesh.ts";

/** A host's port, or a subset of it. */
export interface OutcomeDestination {
  /** Fully qualified; a cluster of Weft's own is named here as it is. */
  readonly host: string;
  readonly port: number;
  /** Empty for the whole host. */
  readonly subset: string;
}

/** One way that the route may take, over all of its zones. */
export interface OutcomeShare extends OutcomeDestination {
  readonly sharePercent: number;
  readonly requestHeaders: HeaderMap;
}

/** All that a test can expect something of. */
export interface RoutingOutcome {
  /** `NAMESPACE/NAME/ROUTE` of a VirtualService's route, the name of one of Weft's own, null where none takes the request. */
  readonly route: string | null;
  readonly destinations: readonly OutcomeShare[];
  /** Where this very request goes; absent where Envoy or the filter would draw it anew each time, and where it is not forwarded. */
  readonly destination?: OutcomeDestination & { readonly zone: string };
  readonly path?: string;
  readonly authority?: string;
  readonly requestHeaders: HeaderMap;
  /** Without what the destination itself answers. */
  readonly responseHeaders: HeaderMap;
  readonly redirect?: { readonly status: number; readonly location: string };
  readonly directResponse?: { readonly status: number; readonly body: string | undefined };
  readonly fault?: Faults;
  readonly mirrors: readonly (OutcomeDestination & { readonly sharePercent: number })[];
  /** Undefined for none. */
  readonly timeoutMs?: number;
  readonly retries: number;
  /** Where the proxy answers by itself. */
  readonly status?: number;
  /** Why there is nothing else: no listener, no filter chain, an action that only the proxy knows. */
  readonly remark?: string;
}

/** Reads the answer. */
export function outcomeOf({ answer }: OfflineAnswer): RoutingOutcome {
  switch (answer.kind) {
    case "http":
      return httpOutcome(answer.simulation, answer.request);
    case "tcp":
      return {
        ...NOTHING,
        destinations: answer.clusters.map(({ cluster, share }) => ({ ...destinationOf(cluster), sharePercent: 100 * share, requestHeaders: {} })),
        ...(answer.clusters.length === 1 && answer.clusters[0] ? { destination: { ...destinationOf(answer.clusters[0].cluster), zone: "" } } : {}),
      };
    case "unsupported":
      return { ...NOTHING, remark: answer.what };
    case "no listener":
    case "no filter chain":
      return { ...NOTHING, remark: answer.kind };
  }
}

/** `outbound|80|v1|reviews.default.svc.cluster.local;zone=b` in its parts. */
export function destinationOf(cluster: string): OutcomeDestination & { readonly zone: string } {
  const [, port, subset, host, zone] = /^outbound\|(\d+)\|([^|]*)\|([^;]*)(?:;zone=(.*))?$/.exec(cluster) ?? [];
  return host === undefined ? { host: cluster, port: 0, subset: "", zone: "" } : { host, port: Number(port), subset: subset ?? "", zone: zone ?? "" };
}

const NOTHING = { route: null, destinations: [], requestHeaders: {}, responseHeaders: {}, mirrors: [], retries: 0 } as const;

function httpOutcome({ action, taken }: DecidedSimulation, request: SimulatedRequest): RoutingOutcome {
  const route = taken === undefined ? null : routeText(taken.route.name);
  switch (action.kind) {
    case "forward":
      return { ...NOTHING, route, ...forwardOutcome(action, taken?.route.metadata?.filterMetadata.weft?.decision, request) };
    case "redirect":
      return {
        ...NOTHING,
        route,
        status: action.status,
        redirect: { status: action.status, location: action.location ?? "" },
        responseHeaders: localHeaders(action, request),
        ...(action.faults ? { fault: action.faults } : {}),
      };
    case "direct response":
      return {
        ...NOTHING,
        route,
        status: action.status,
        directResponse: { status: action.status, body: action.body },
        responseHeaders: localHeaders(action, request),
        ...(action.faults ? { fault: action.faults } : {}),
      };
    case "no virtual host":
    case "no route":
      return { ...NOTHING, route, status: action.status, remark: action.kind };
    case "unsupported":
      return { ...NOTHING, route, remark: action.what };
  }
}

function forwardOutcome(action: Forwarding, decision: unknown, request: SimulatedRequest): Omit<RoutingOutcome, "route" | "remark"> {
  const chosen = action.destinations[action.chosen];
  const shares = weightShares(decision);
  const byIdentity = new Map<string, OutcomeShare>();
  for (const { cluster, share, headers } of action.destinations) {
    const { zone: _, ...destination } = destinationOf(cluster ?? "");
    const identity = `${destination.host}|${destination.port}|${destination.subset}`;
    const before = byIdentity.get(identity)?.sharePercent ?? 0;
    byIdentity.set(identity, { ...destination, sharePercent: shares?.get(identity) ?? before + 100 * share, requestHeaders: headers });
  }
  const settled = action.by !== "random number" && (action.by !== "pick" || isSettled(decision, request) || byIdentity.size === 1);
  const target = destinationOf(chosen?.cluster ?? "");
  return {
    destinations: [...byIdentity.values()],
    ...(settled && chosen
      ? { destination: byIdentity.size === 1 && !isSettled(decision, request) && action.by === "pick" ? { ...target, zone: "" } : target }
      : {}),
    ...(chosen ? { path: chosen.path, authority: chosen.authority } : {}),
    requestHeaders: chosen?.headers ?? {},
    responseHeaders: chosen === undefined ? {} : answeredHeaders({}, chosen.responseSteps, { ...request, path: chosen.path, headers: chosen.headers }),
    ...(chosen?.faults ? { fault: chosen.faults } : {}),
    mirrors: action.mirrors.map(({ cluster, share }) => ({ ...withoutZone(cluster ?? ""), sharePercent: 100 * share })),
    ...(action.timeoutMs === undefined ? {} : { timeoutMs: action.timeoutMs }),
    retries: action.retries?.attempts ?? 0,
  };
}

function withoutZone(cluster: string): OutcomeDestination {
  const { zone: _, ...destination } = destinationOf(cluster);
  return destination;
}

/** By the weights as they are written: the widths of Envoy's entries are rounded. */
function weightShares(decision: unknown): ReadonlyMap<string, number> | undefined {
  const parsed = typeof decision === "string" ? parseDecisionRecord(decision) : undefined;
  if (parsed?.kind !== "record") return undefined;
  const sum = parsed.record.candidates.reduce((total, { weight }) => total + weight, 0);
  const shares = new Map<string, number>();
  for (const { identity, weight } of parsed.record.candidates) shares.set(identity, (shares.get(identity) ?? 0) + (100 * weight) / sum);
  return shares;
}

/** Whether the filter chooses the same for every such request: the route's key is in it. */
function isSettled(decision: unknown, request: SimulatedRequest): boolean {
  const parsed = typeof decision === "string" ? parseDecisionRecord(decision) : undefined;
  if (parsed?.kind !== "record") return false;
  const { key, zoneKey, candidates } = parsed.record;
  const source = candidates.length > 1 ? key : zoneKey;
  switch (source?.kind) {
    case "header":
      return request.headers[source.name.toLowerCase()] !== undefined;
    case "cookie":
      return (request.headers.cookie ?? []).some((line) => line.split(";").some((pair) => pair.trim().startsWith(`${source.name}=`)));
    default:
      return false;
  }
}

/** `reviews.default/primary` as `default/reviews/primary`. */
function routeText(name: string): string {
  const [, virtualService, namespace, key] = /^(.+)\.([^./]+)\/(.*)$/.exec(name) ?? [];
  return virtualService === undefined ? name : `${namespace}/${virtualService}/${key}`;
}
