// The filter's choice off-line: the built filter itself, in a host of its own, is asked for the pick of a route with a decision record.
import { type FakeEnvoy, startFakeEnvoy } from "../../filter/host.ts";
import type { Route } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import { entryOfPick, parseDecisionRecord, type RecordCandidate, type RecordEntry } from "../translate/decision-record.ts";
import { FILTER, PICK_HEADER } from "../translate/names.ts";
import type { Runtime } from "./fraction.ts";
import type { SimulatedRequest } from "./request.ts";
import { type Simulation, simulate } from "./simulate.ts";

/** What the filter chose for a request. */
interface FilterChoice {
  readonly pick: number;
  readonly candidate: RecordCandidate;
  readonly entry: RecordEntry;
  /** The cookie that the client gets, as `name=value;attributes`, where the filter made a new one. */
  readonly cookie?: string;
}

/** The built filter, ready to be asked. */
export interface FilterInstance {
  /**
   * The choice on a route; undefined where the route has no decision record, or one that the filter refuses: Envoy then draws by weight.
   * A choice without a key is random, from the instance's own generator.
   */
  decide(route: Route, request: SimulatedRequest): FilterChoice | undefined;
}

/** Loads the built filter. Equal `entropy` gives equal random choices. Rejects where the file cannot be read. */
export async function loadFilter(wasmPath: string, entropy: Uint8Array): Promise<FilterInstance> {
  const host = await startFakeEnvoy(wasmPath, entropy);
  host.configure("{}");
  return { decide: (route, request) => decide(host, route, request) };
}

/** The request as it reaches Envoy's weighted choice: with the pick, where the filter made one. */
function withPick(request: SimulatedRequest, choice: FilterChoice | undefined): SimulatedRequest {
  const { [PICK_HEADER]: _, ...headers } = request.headers;
  return { ...request, headers: choice === undefined ? headers : { ...headers, [PICK_HEADER]: [String(choice.pick)] } };
}

/** A simulation with the filter before the router, as on a sidecar: a pick that the client sent does not count. */
export interface DecidedSimulation extends Simulation {
  /** Undefined where the route leaves the choice to Envoy, or has none. */
  readonly choice: FilterChoice | undefined;
}

/** `simulate`, with the filter asked on routes that turn it on. */
export function simulateDecided(
  configuration: RouteConfiguration,
  request: SimulatedRequest,
  filter: FilterInstance,
  runtime: Runtime = {},
): DecidedSimulation {
  const arrived = withPick(request, undefined);
  const undecided = simulate(configuration, arrived, runtime);
  const route = undecided.taken?.route;
  const choice = route !== undefined && FILTER in route.typedPerFilterConfig ? filter.decide(route, arrived) : undefined;
  return choice === undefined ? { ...undecided, choice } : { ...simulate(configuration, withPick(arrived, choice), runtime), choice };
}

function decide(host: FakeEnvoy, route: Route, request: SimulatedRequest): FilterChoice | undefined {
  const metadata = route.metadata?.filterMetadata.weft;
  const { id, decision } = metadata ?? {};
  if (typeof id !== "string" || typeof decision !== "string") return undefined;
  const parsed = parseDecisionRecord(decision);
  if (parsed.kind === "malformed") return undefined;
  const path = "xds.route_metadata.filter_metadata.weft";
  const headers = Object.fromEntries(Object.entries(request.headers).flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first]])));
  const outcome = host.request({ properties: { [`${path}.id`]: id, [`${path}.decision`]: decision }, headers });
  const written = outcome.set[PICK_HEADER];
  const at = written === undefined ? undefined : entryOfPick(parsed.record, Number(written));
  if (at === undefined) return undefined;
  const cookie = outcome.filterState.ck;
  return { pick: Number(written), ...at, ...(cookie === undefined ? {} : { cookie }) };
}
