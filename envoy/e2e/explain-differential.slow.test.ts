// The whole of it off-line against a real Envoy: random YAML through translation and the xDS server, random requests, and no disagreement on the route, the
// candidates and their shares, the path, the headers, the status, or where a sticky user goes.
import { isDeepStrictEqual } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FilterAnswer, parseFilterAnswer } from "../../control-plane/cli/explain-answer.ts";
import { HeaderValueOptionSchema } from "../../control-plane/gen/envoy/config/core/v3/base_pb.js";
import { RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import type { ListenAddress, Proxy } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { EMPTY_LAST_GOOD } from "../../control-plane/model/last-good.ts";
import { answeredHeaders, type ForwardedRequest, failureHeaders, localHeaders } from "../../control-plane/simulate/act.ts";
import { type ExplainingFilter, type FilterInstance, loadExplainingFilter, loadFilter } from "../../control-plane/simulate/decide.ts";
import type { HeaderMap, SimulatedRequest } from "../../control-plane/simulate/request.ts";
import { parseFile } from "../../control-plane/source/parse-file.ts";
import { wiredMesh } from "../../control-plane/test/wired-mesh.ts";
import { parseDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import type { Translation } from "../../control-plane/translate/resource.ts";
import { effectiveResources } from "../../control-plane/validate/effective.ts";
import { type Answer, ask } from "../../control-plane/what-if/ask.ts";
import { createConfigurations, type ProxyConfiguration } from "../../control-plane/what-if/configuration.ts";
import { buildFilter } from "../../filter/build.ts";
import { keepAliveAgent, type Reply, send, startEchoesAt } from "./echo-upstream.ts";
import { CALLER, COMPARED_HEADERS, type MeshRequest, randomMesh, randomMeshRequest } from "./random-meshes.ts";
import { createDice } from "./random-routes.ts";
import { type ServedMesh, serveMesh } from "./served-mesh.ts";

/** Fixed, so that a run repeats; `WEFT_SEED=random`, or a number, looks elsewhere. */
const SEED = process.env.WEFT_SEED === "random" ? Date.now() >>> 0 : Number(process.env.WEFT_SEED ?? 20_221_119);
const MESHES = 55;
const REQUESTS = 40;
const NETWORK = "127.93";

const agent = keepAliveAgent();
const dice = createDice(SEED);
let filter: FilterInstance;
let explaining: ExplainingFilter;
let upstreams: { close(): Promise<void> };
let served: ServedMesh;

beforeAll(async () => {
  const { path } = await buildFilter();
  filter = await loadFilter(path, new Uint8Array(8));
  explaining = await loadExplainingFilter(path, new Uint8Array(8));
});

afterAll(async () => {
  agent.destroy();
  await served?.close();
  await upstreams?.close();
});

describe("an explanation off-line and a real Envoy", () => {
  it(`agree on ${MESHES * REQUESTS} random requests over ${MESHES} random meshes, seed ${SEED}`, async () => {
    const kinds = new Map<string, number>();
    const disagreements: string[] = [];
    for (let count = 0; count < MESHES; count++) {
      const yaml = randomMesh(dice);
      const errors = effectiveResources(new Map([["in.yaml", parseFile("in.yaml", yaml)]]), EMPTY_LAST_GOOD).diagnostics.filter(
        ({ severity }) => severity === "error",
      );
      expect(errors, yaml).toEqual([]);
      const mesh = meshOf(yaml);
      await serve(mesh);
      const configurations = createConfigurations(mesh);
      for (let sent = 0; sent < REQUESTS; sent++) {
        const request = randomMeshRequest(dice);
        const { proxy, listen, explain } = placeOf(mesh, request);
        const configuration = configurations(proxy);
        const simulated = simulatedRequest(request);
        const answer = ask(configuration, { place: listen, request: simulated }, filter);
        const kind = answer.kind === "http" ? answer.simulation.action.kind : answer.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        const path = request.entrance.kind === "http proxy" ? `http://${request.authority}${request.path}` : request.path;
        const seen = observed(await send(`http://${listen.address}:${listen.port}`, { ...simulated, path }, agent));
        const expected = outcomes(answer, configuration, mesh);
        if (!expected.some((outcome) => isDeepStrictEqual(outcome, seen)))
          disagreements.push(JSON.stringify({ rules: rulesOf(yaml), request, expected, seen }));
        const said = parseFilterAnswer((await send(`http://${explain.address}:${explain.port}`, { ...simulated, path }, agent)).body);
        const different = differentAnswer(said, offlineAnswer(answer, simulated));
        if (different !== undefined) disagreements.push(JSON.stringify({ rules: rulesOf(yaml), request, different }));
      }
    }
    console.log(`seed ${SEED}: ${[...kinds].map(([kind, number]) => `${number} ${kind}`).join(", ")}`);
    expect(disagreements.slice(0, 3), `${disagreements.length} disagreements`).toEqual([]);
  }, 900_000);
});

/** The documents that are other in every mesh. */
function rulesOf(yaml: string): string {
  return yaml.slice(yaml.indexOf('{"apiVersion":"networking'));
}

/** The caller has a sidecar; the others answer for themselves, at the addresses that the mesh knows them by. */
function meshOf(yaml: string): Mesh {
  return wiredMesh(yaml, { network: NETWORK, httpProxy: true, change: (instance) => ({ ...instance, hasSidecar: instance.workload === CALLER }) });
}

async function serve(mesh: Mesh): Promise<void> {
  if (served !== undefined) return served.publish(mesh);
  const places = mesh.instances
    .filter(({ workload }) => workload !== CALLER)
    .map(({ name, address, ports }): [string, ListenAddress] => [name, { address, port: ports[0]?.boundPort ?? 0 }]);
  upstreams = await startEchoesAt(new Map(places), UPSTREAM_HEADERS);
  served = await serveMesh(mesh, { alter: withTelling });
}

const UPSTREAM_HEADERS: HeaderMap = { "x-a": ["up"], "x-answer": ["upstream"] };

/** Every answer says which route and which cluster it comes by. */
function withTelling(translation: Translation): Translation {
  const proxies = [...translation.proxies].map(([id, held]) => {
    const resources = held.resources.map((resource) => {
      if (resource.type !== "route") return resource;
      const told = fromBinary(RouteConfigurationSchema, resource.body);
      const telling = { "x-told-route": "%ROUTE_NAME%", "x-told-cluster": "%UPSTREAM_CLUSTER%" };
      for (const [key, value] of Object.entries(telling)) told.responseHeadersToAdd.push(create(HeaderValueOptionSchema, { header: { key, value } }));
      return { ...resource, body: toBinary(RouteConfigurationSchema, told) };
    });
    return [id, { proxyId: held.proxyId, resources }] as const;
  });
  return { ...translation, proxies: new Map(proxies) };
}

interface Reached {
  readonly proxy: Proxy;
  readonly listen: ListenAddress;
  readonly explain: ListenAddress;
}

function placeOf(mesh: Mesh, { entrance }: MeshRequest): Reached {
  for (const proxy of mesh.proxies) {
    if (entrance.kind === "gateway") {
      const port = proxy.gatewayPorts.find(({ number }) => number === entrance.port);
      if (port !== undefined) return { proxy, listen: port.listen, explain: { address: port.listen.address, port: port.explainPort } };
    } else if (entrance.kind === "http proxy") {
      if (proxy.httpProxy !== undefined)
        return { proxy, listen: proxy.httpProxy, explain: { address: proxy.httpProxy.address, port: proxy.httpProxy.explainPort } };
    } else {
      const service = proxy.outbound.find(({ hostname, port }) => hostname === entrance.hostname && port === entrance.port);
      if (service !== undefined) return { proxy, listen: service.listen, explain: { address: service.listen.address, port: service.explainPort } };
    }
  }
  throw new Error(`nothing listens for ${JSON.stringify(entrance)}`);
}

function simulatedRequest({ method, authority, path, headers }: MeshRequest): SimulatedRequest {
  return { method, scheme: "http", authority, path, headers, sourceAddress: "127.0.0.1", random: 0 };
}

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

const NOTHING: Omit<Outcome, "status"> = {
  route: undefined,
  cluster: undefined,
  path: undefined,
  authority: undefined,
  requestHeaders: {},
  responseHeaders: {},
  location: undefined,
};

function observed({ status, headers, echo }: Reply): Outcome {
  return {
    status,
    route: headers["x-told-route"]?.join(),
    cluster: echo === undefined ? undefined : headers["x-told-cluster"]?.join(),
    path: echo?.path,
    authority: echo?.authority,
    requestHeaders: compared(echo?.headers ?? {}),
    responseHeaders: compared(headers),
    location: headers.location?.join(),
  };
}

/** The outcomes that the simulation allows: one, or one per cluster where the proxy or the filter draws. */
function outcomes(answer: Answer, configuration: ProxyConfiguration, mesh: Mesh): readonly Outcome[] {
  if (answer.kind !== "http") throw new Error(`${answer.kind} at ${mesh.proxies.length} proxies`);
  const { request, simulation } = answer;
  const { action, taken, choice } = simulation;
  const route = taken?.route.name;
  switch (action.kind) {
    case "forward": {
      const drawn = drawnClusters(answer);
      return action.destinations
        .filter(({ cluster, share }, index) =>
          choice !== undefined ? drawn.includes(cluster ?? "") : action.by === "random number" ? share > 0 : index === action.chosen,
        )
        .map((destination) => forwarded(destination, route, request, configuration));
    }
    case "redirect":
    case "direct response": {
      const headers = localHeaders(action, request);
      return [{ ...NOTHING, status: action.status, route, responseHeaders: compared(headers), location: headers.location?.join() }];
    }
    case "no virtual host":
    case "no route":
      return [{ ...NOTHING, status: action.status }];
    case "unsupported":
      throw new Error(`${route} cannot be simulated: ${action.what}`);
  }
}

/** The clusters that a request may get by the filter: one where key and zone key are in it. */
function drawnClusters({ simulation, request }: Extract<Answer, { kind: "http" }>): readonly string[] {
  const { choice, taken } = simulation;
  const decision = taken?.route.metadata?.filterMetadata.weft?.decision;
  const parsed = typeof decision === "string" ? parseDecisionRecord(decision) : undefined;
  if (choice === undefined || parsed?.kind !== "record") return [];
  const { key, zoneKey, candidates } = parsed.record;
  const settled = candidates.length === 1 || (key.kind !== "none" && hasKey(key, request));
  if (!settled) return candidates.flatMap(({ entries }) => entries.map(({ cluster }) => cluster));
  const { entries } = choice.candidate;
  return entries.length === 1 || (zoneKey !== undefined && hasKey(zoneKey, request)) ? [choice.entry.cluster] : entries.map(({ cluster }) => cluster);
}

function hasKey({ kind, name }: { readonly kind: "header" | "cookie"; readonly name: string }, { headers }: SimulatedRequest): boolean {
  if (kind === "header") return headers[name.toLowerCase()] !== undefined;
  return (headers.cookie ?? []).some((line) => line.split(";").some((pair) => pair.trim().startsWith(`${name}=`)));
}

function forwarded(destination: ForwardedRequest, route: string | undefined, request: SimulatedRequest, configuration: ProxyConfiguration): Outcome {
  const { cluster = "", path, authority, faults } = destination;
  const endpoints = configuration.endpoints(cluster)?.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints) ?? [];
  const aborted = faults?.abort?.share === 1 ? faults.abort.httpStatus : undefined;
  const failure = aborted ?? (endpoints.length === 0 ? 503 : undefined);
  if (failure !== undefined) return { ...NOTHING, status: failure, route, responseHeaders: compared(failureHeaders(destination, request)) };
  const upstream = { ...request, path, authority, headers: destination.headers };
  const responseHeaders = compared(answeredHeaders(UPSTREAM_HEADERS, destination.responseSteps, upstream));
  return { ...NOTHING, status: 200, route, cluster, path, authority, requestHeaders: compared(destination.headers), responseHeaders };
}

function compared(headers: HeaderMap): Readonly<Record<string, string>> {
  return Object.fromEntries(COMPARED_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name].join(",")]])));
}

/** What the explaining filter says off-line, and whether its choice is settled. */
function offlineAnswer(answer: Answer, sent: SimulatedRequest): { readonly said: FilterAnswer | undefined; readonly drawn: readonly string[] } {
  if (answer.kind !== "http") return { said: undefined, drawn: [] };
  const route = answer.simulation.taken?.route;
  return {
    said: parseFilterAnswer(explaining.explain(route && { route, cluster: undefined }, { ...sent, headers: answer.request.headers })),
    drawn: drawnClusters(answer),
  };
}

/** The first member in which the proxy's own explanation is another one: route, record (candidates and shares), key, hash, and the choice where it is settled. */
function differentAnswer(live: FilterAnswer | undefined, { said, drawn }: ReturnType<typeof offlineAnswer>): string | undefined {
  if (live === undefined || said === undefined) return `no answer: ${JSON.stringify({ live, said })}`;
  const members = ["route", "id", "record", "recordError", "key", "hash", "zoneKey"] as const;
  const settled = drawn.length === 1 ? (["candidate", "entry"] as const) : [];
  const different = [...members, ...settled].find((member) => live[member] !== said[member]);
  return different === undefined ? undefined : `${different}: live ${live[different]}, off-line ${said[different]}`;
}
