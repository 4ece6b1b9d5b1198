// Why routes did not take a request: those that Envoy has, by the condition that failed, and those that this caller never gets, by what they ask of a caller.
import { gatewayKey, MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Origin } from "../model/diagnostic.ts";
import type { VirtualService } from "../model/resource.ts";
import type { HttpMatch } from "../model/virtual-service.ts";
import type { FailedCondition } from "../simulate/condition.ts";
import type { Simulation } from "../simulate/simulate.ts";
import { REPEATABLE_METHODS } from "../translate/retries.ts";
import type { RequestSource } from "../translate/route-match.ts";
import type { WrittenRoute, WrittenRoutes } from "./written-routes.ts";

/** A route that did not take the request. */
export interface PassedOver {
  /** Envoy's name of it. */
  readonly route: string;
  /** Absent for a route that no VirtualService has made. */
  readonly origin?: Origin;
  readonly failure: { readonly kind: FailedCondition["kind"] | "caller"; readonly name: string; readonly expected: string; readonly actual?: string };
}

/** All routes before the one taken, in the order of the YAML where there is one. `source` is the caller, for conditions that translation decides. */
export function passedOver(simulation: Simulation, written: WrittenRoutes, source: RequestSource): readonly PassedOver[] {
  const takenName = simulation.taken?.route.name;
  const known = new Map<string, PassedOver>();
  for (const { route, failure } of simulation.passed) {
    // A pair of routes stands for one of the YAML, apart by method, since a retry policy belongs to a route. Tunnels are no requests to ask about.
    if (isMethodPair(failure) || failure.kind === "connect") continue;
    const origin = written.get(route.name)?.[0]?.origin;
    const { kind, name, expected, actual } = failure;
    const passed = {
      route: route.name,
      ...(origin === undefined ? {} : { origin }),
      failure: { kind, name, expected, ...(actual === undefined ? {} : { actual }) },
    };
    known.set(JSON.stringify(passed), passed);
  }
  const present = new Set(simulation.host?.virtualHost.routes.map(({ name }) => name) ?? []);
  const speaking = new Set([...present].flatMap((name) => written.get(name) ?? []).map(({ virtualService }) => virtualService));
  const unseen = [...written].flatMap(([name, entries]) => (present.has(name) ? [] : entries.flatMap((entry) => unseenRoute(name, entry, speaking, source))));
  const place = (passed: PassedOver): number => passed.origin?.line ?? Number.MAX_SAFE_INTEGER;
  const takenAt = takenName === undefined ? undefined : written.get(takenName)?.[0];
  const before = unseen.filter(({ origin }) => takenAt === undefined || origin?.file !== takenAt.origin.file || origin.line < takenAt.origin.line);
  const all = [...known.values()];
  return before.length === 0 ? all : [...all, ...before].sort((a, b) => place(a) - place(b));
}

function isMethodPair({ name, expected }: FailedCondition): boolean {
  return name === ":method" && expected === `regex "${REPEATABLE_METHODS.join("|")}"`;
}

function unseenRoute(
  name: string,
  { virtualService, route, origin }: WrittenRoute,
  speaking: ReadonlySet<VirtualService>,
  source: RequestSource,
): readonly PassedOver[] {
  if (!speaking.has(virtualService)) return [];
  const failures = route.match.map((match) => callerFailure(match, virtualService.namespace, source));
  return failures.flatMap((failure) => (failure === undefined ? [] : [{ route: name, origin, failure: { kind: "caller" as const, ...failure } }]));
}

/** The first condition of an entry that no request of this caller can fulfil. */
function callerFailure(
  match: HttpMatch,
  namespace: string,
  source: RequestSource,
): { readonly name: string; readonly expected: string; readonly actual?: string } | undefined {
  if (match.port !== undefined && match.port !== source.port) return { name: "port", expected: String(match.port), actual: String(source.port) };
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== source.namespace)
    return { name: "sourceNamespace", expected: match.sourceNamespace, actual: source.namespace };
  const gateways = match.gateways.map((name) => (name === MESH_GATEWAY ? name : gatewayKey(name, namespace)));
  if (gateways.length > 0 && !gateways.some((name) => source.gateways.includes(name)))
    return { name: "gateways", expected: gateways.join(" or "), actual: source.gateways.join(", ") };
  for (const [label, value] of Object.entries(match.sourceLabels)) {
    const actual = source.labels[label];
    if (actual !== value) return { name: `sourceLabels ${label}`, expected: value, ...(actual === undefined ? {} : { actual }) };
  }
  return source.authority === undefined ? undefined : { name: "authority", expected: "another one", actual: source.authority };
}
