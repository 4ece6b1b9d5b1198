// The simulator against a real Envoy: random requests over random configurations, and no disagreement.
import { isDeepStrictEqual } from "node:util";
import { createRegistry, toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RouteSchema } from "../../control-plane/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { HTTPFaultSchema } from "../../control-plane/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { answeredHeaders, type ForwardedRequest, type Forwarding, failureHeaders, localHeaders, localStatus } from "../../control-plane/simulate/act.ts";
import type { Faults } from "../../control-plane/simulate/faults.ts";
import type { HeaderMap, SimulatedRequest } from "../../control-plane/simulate/request.ts";
import { type Simulation, simulate } from "../../control-plane/simulate/simulate.ts";
import { type EchoUpstreams, keepAliveAgent, type Reply, send, startEchoUpstreams } from "./echo-upstream.ts";
import { CLUSTERS, createDice, HEADER_NAMES, randomConfiguration, randomRequest, UPSTREAM_HEADERS } from "./random-routes.ts";
import { type StaticEnvoy, startStaticEnvoy } from "./static-envoy.ts";

/** Fixed, so that a run repeats; `WEFT_SEED=random`, or a number, looks elsewhere. */
const SEED = process.env.WEFT_SEED === "random" ? Date.now() >>> 0 : Number(process.env.WEFT_SEED ?? 20_221_119);
const CONFIGURATIONS = 60;
const REQUESTS = 40;

const registry = createRegistry(HTTPFaultSchema);
const dice = createDice(SEED);
const configurations = Array.from({ length: CONFIGURATIONS }, (_, index) => randomConfiguration(dice, `c${index}`));
const agent = keepAliveAgent();
let upstreams: EchoUpstreams;
let envoy: StaticEnvoy;

beforeAll(async () => {
  upstreams = await startEchoUpstreams(CLUSTERS, UPSTREAM_HEADERS);
  envoy = await startStaticEnvoy({ listeners: configurations.map(listener), clusters: upstreams.clusters }, { id: "test", cluster: "test" });
});

afterAll(async () => {
  agent.destroy();
  await envoy?.close();
  await upstreams?.close();
});

describe("the simulator and a real Envoy", () => {
  it(`agree on ${CONFIGURATIONS * REQUESTS} random requests over ${CONFIGURATIONS} random configurations, seed ${SEED}`, async () => {
    const kinds = new Map<string, number>();
    const disagreements: string[] = [];
    for (const configuration of configurations) {
      for (let count = 0; count < REQUESTS; count++) {
        const request = randomRequest(dice);
        const simulation = simulate(configuration, request);
        const reply = await send(envoy.url(configuration.name), request, agent);
        const seen = observed(reply);
        const { kind } = simulation.action;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        const expected = outcomes(simulation, request);
        if (expected.some((outcome) => isDeepStrictEqual(outcome, seen))) continue;
        const route = simulation.taken && toJson(RouteSchema, simulation.taken.route, { registry });
        disagreements.push(JSON.stringify({ request, domain: simulation.host?.domain, route, expected, seen, body: reply.body }));
      }
    }
    console.log(`seed ${SEED}: ${[...kinds].map(([kind, number]) => `${number} ${kind}`).join(", ")}`);
    expect(disagreements.slice(0, 5), `${disagreements.length} disagreements`).toEqual([]);
  }, 300_000);
});

/** What can be compared: the proxy's own additions to headers are left out. */
interface Outcome {
  readonly status: number;
  readonly route: string | undefined;
  readonly cluster: string | undefined;
  readonly path: string | undefined;
  readonly authority: string | undefined;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly location: string | undefined;
}

function observed({ status, headers, echo }: Reply): Outcome {
  return {
    status,
    route: headers["x-route"]?.join(),
    cluster: echo?.cluster,
    path: echo?.path,
    authority: echo?.authority,
    requestHeaders: compared(echo?.headers ?? {}),
    responseHeaders: compared(headers),
    location: headers.location?.join(),
  };
}

/** The outcomes that the simulation allows: one, or one per cluster where the proxy draws by weight. */
function outcomes({ action, taken }: Simulation, request: SimulatedRequest): readonly Outcome[] {
  const nothing = { route: undefined, cluster: undefined, path: undefined, authority: undefined, requestHeaders: {}, responseHeaders: {}, location: undefined };
  switch (action.kind) {
    case "forward":
      return action.destinations
        .filter(({ share }, index) => (action.by === "random number" ? share > 0 : index === action.chosen))
        .map((destination) => forwarded(action, destination, request));
    case "redirect":
    case "direct response": {
      const abort = certainAbort(action.faults);
      if (abort !== undefined) return [{ ...nothing, status: localStatus(abort, request).status }];
      const headers = localHeaders(action, request);
      return [{ ...nothing, status: action.status, route: headers["x-route"]?.join(), responseHeaders: compared(headers), location: headers.location?.join() }];
    }
    case "no virtual host":
    case "no route":
      return [{ ...nothing, status: action.status }];
    case "unsupported":
      throw new Error(`${taken?.route.name} cannot be simulated: ${action.what}`);
  }
}

function forwarded(action: Forwarding, destination: ForwardedRequest, request: SimulatedRequest): Outcome {
  const { cluster, path, authority } = destination;
  const failure = certainAbort(destination.faults) ?? (CLUSTERS.includes(cluster ?? "") ? undefined : action.statusWithoutCluster);
  if (failure !== undefined) {
    const headers = failureHeaders(destination, request);
    const { status } = localStatus(failure, request);
    const local = { cluster: undefined, path: undefined, authority: undefined, requestHeaders: {}, location: undefined };
    return { ...local, status, route: headers["x-route"]?.join(), responseHeaders: compared(headers) };
  }
  const upstream = { ...request, path, authority, headers: destination.headers };
  const headers = answeredHeaders(UPSTREAM_HEADERS, destination.responseSteps, upstream);
  return {
    status: 200,
    route: headers["x-route"]?.join(),
    cluster,
    path,
    authority,
    requestHeaders: compared(destination.headers),
    responseHeaders: compared(headers),
    location: undefined,
  };
}

/** Faults are drawn never or always here. */
function certainAbort(faults: Faults | undefined): number | undefined {
  return faults?.abort?.share === 1 ? faults.abort.httpStatus : undefined;
}

/** The headers of the pools, each as one text: a proxy may put several values in one line. */
function compared(headers: HeaderMap): Readonly<Record<string, string>> {
  return Object.fromEntries(HEADER_NAMES.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name].join(",")]])));
}

/** Gives every configuration a listener of its own. */
function listener(configuration: RouteConfiguration): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: configuration.name,
    internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }] },
    route_config: toJson(RouteConfigurationSchema, configuration, { registry: registry }),
    http_filters: [
      { name: "envoy.filters.http.fault", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault" } },
      { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
    ],
  };
  return {
    name: configuration.name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}
