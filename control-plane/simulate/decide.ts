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

/** In place of a filter that has failed: Envoy draws by weight. */
export const FALLBACK_FILTER: FilterInstance = { decide: () => undefined };

/** Loads the built filter. Equal `entropy` gives equal random choices. Rejects where the file cannot be read. */
export async function loadFilter(wasmPath: string, entropy: Uint8Array): Promise<FilterInstance> {
  const host = await startFakeEnvoy(wasmPath, entropy);
  host.configure("{}");
  return { decide: (route, request) => decide(host, route, request) };
}

/** The built filter as it stands behind the explain listeners: it answers instead of choosing. */
export interface ExplainingFilter {
  /** The JSON of its answer about a route that was taken, or about none. The proxy's zone is not in it. */
  explain(taken: { readonly route: Route; readonly cluster: string | undefined } | undefined, request: SimulatedRequest): string;
}

/** Loads the built filter to explain. Equal `entropy` gives equal random choices. Rejects where the file cannot be read. */
export async function loadExplainingFilter(wasmPath: string, entropy: Uint8Array): Promise<ExplainingFilter> {
  const host = await startFakeEnvoy(wasmPath, entropy);
  host.configure("explain");
  return {
    explain(taken, request) {
      const { id, decision } = taken?.route.metadata?.filterMetadata.weft ?? {};
      const { [PICK_HEADER]: _, ...headers } = firstValues(request);
      const properties = {
        ...(taken === undefined || taken.route.name === "" ? {} : { "xds.route_name": taken.route.name }),
        ...(taken?.cluster === undefined ? {} : { "xds.cluster_name": taken.cluster }),
        ...(typeof id === "string" ? { [`${METADATA_PATH}.id`]: id } : {}),
        ...(typeof decision === "string" ? { [`${METADATA_PATH}.decision`]: decision } : {}),
      };
      const { response } = host.request({ properties, headers });
      if (response === undefined) throw new Error("the explaining filter let a request go on");
      return response.body;
    },
  };
}

const METADATA_PATH = "xds.route_metadata.filter_metadata.weft";

/** The filter sees the first value of each header. */
function firstValues(request: SimulatedRequest): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(request.headers).flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first]])));
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
  const properties = { [`${METADATA_PATH}.id`]: id, [`${METADATA_PATH}.decision`]: decision };
  const outcome = host.request({ properties, headers: firstValues(request) });
  const written = outcome.set[PICK_HEADER];
  const at = written === undefined ? undefined : entryOfPick(parsed.record, Number(written));
  if (at === undefined) return undefined;
  const cookie = outcome.filterState.ck;
  return { pick: Number(written), ...at, ...(cookie === undefined ? {} : { cookie }) };
}
