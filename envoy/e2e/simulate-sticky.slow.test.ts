// The filter's choice off-line against the filter in a real Envoy: the same .wasm, random decision records, and for every sticky pick the same cluster.
import { readFile } from "node:fs/promises";
import { create, createRegistry, toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FilterConfigSchema } from "../../control-plane/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { loadFilter, simulateDecided } from "../../control-plane/simulate/decide.ts";
import type { SimulatedRequest } from "../../control-plane/simulate/request.ts";
import { packAny } from "../../control-plane/translate/any.ts";
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { FILTER, PICK_HEADER } from "../../control-plane/translate/names.ts";
import { buildFilter } from "../../filter/build.ts";
import { type EchoUpstreams, keepAliveAgent, send, startEchoUpstreams } from "./echo-upstream.ts";
import { CLUSTERS, createDice, type Dice } from "./random-routes.ts";
import { type StaticEnvoy, startStaticEnvoy } from "./static-envoy.ts";

/** Fixed, so that a run repeats; `WEFT_SEED=random`, or a number, looks elsewhere. */
const SEED = process.env.WEFT_SEED === "random" ? Date.now() >>> 0 : Number(process.env.WEFT_SEED ?? 20_221_119);
const ROUTES = 20;
const REQUESTS = 600;

const dice = createDice(SEED);
const configuration = randomDecisions(dice);
const agent = keepAliveAgent();
let upstreams: EchoUpstreams;
let envoy: StaticEnvoy;
let wasm: string;

beforeAll(async () => {
  wasm = (await buildFilter()).path;
  upstreams = await startEchoUpstreams(CLUSTERS);
  const code = (await readFile(wasm)).toString("base64");
  envoy = await startStaticEnvoy({ listeners: [listener(code)], clusters: upstreams.clusters }, { id: "test", cluster: "test" });
});

afterAll(async () => {
  agent.destroy();
  await envoy?.close();
  await upstreams?.close();
});

describe("the filter off-line and the filter in a real Envoy", () => {
  it(`choose the same cluster for ${REQUESTS} requests over ${ROUTES} random records, seed ${SEED}`, async () => {
    const filter = await loadFilter(wasm, new Uint8Array(8));
    const seen = new Set<string>();
    for (let count = 0; count < REQUESTS; count++) {
      const request = randomUser(dice);
      const { action, choice } = simulateDecided(configuration, request, filter);
      const cluster = action.kind === "forward" ? action.destinations[action.chosen]?.cluster : undefined;
      expect(cluster).toBe(choice?.entry.cluster);
      const { echo } = await send(envoy.url("sticky"), request, agent);
      expect(echo?.cluster, JSON.stringify(request)).toBe(cluster);
      expect(echo?.headers[PICK_HEADER]).toBeUndefined();
      seen.add(cluster ?? "");
    }
    expect([...seen].sort()).toEqual([...CLUSTERS].sort());
  }, 120_000);
});

/** Every record's key is there; some clients try to choose by themselves. */
function randomUser(dice: Dice): SimulatedRequest {
  const user = `user-${dice.below(1_000)}`;
  const headers = { "x-user": [user], cookie: [`a=b; user=${user}; c`], ...(dice.chance(0.3) ? { [PICK_HEADER]: ["1"] } : {}) };
  return { method: "GET", scheme: "http", authority: "web", path: `/${dice.below(ROUTES)}`, headers, random: 0 };
}

function randomDecisions(dice: Dice): RouteConfiguration {
  const routes = Array.from({ length: ROUTES }, (_, index) => {
    const record = randomRecord(dice, index);
    const entries = record.candidates.flatMap((candidate) => candidate.entries);
    const clusters = entries.map(({ cluster, width }) => ({ name: cluster, weight: width }));
    return {
      match: { pathSpecifier: { case: "path" as const, value: `/${index}` } },
      metadata: { filterMetadata: { [FILTER]: { ...encodeDecisionRecord(record) } } },
      typedPerFilterConfig: { [FILTER]: packAny(FilterConfigSchema, { config: {} }) },
      requestHeadersToRemove: [PICK_HEADER],
      action: {
        case: "route" as const,
        value: {
          clusterSpecifier: {
            case: "weightedClusters" as const,
            value: { clusters, randomValueSpecifier: { case: "headerName" as const, value: PICK_HEADER } },
          },
        },
      },
    };
  });
  return create(RouteConfigurationSchema, { name: "sticky", virtualHosts: [{ name: "all", domains: ["*"], routes }] });
}

/** Several candidates of one cluster each, or one candidate whose zone follows the key. */
function randomRecord(dice: Dice, index: number): DecisionRecord {
  const entries = CLUSTERS.map((cluster) => ({ cluster, width: 1 + dice.below(99) }));
  const key: DecisionRecord["key"] = dice.chance(0.5) ? { kind: "header", name: "x-user" } : { kind: "cookie", name: "user" };
  const salt = `default/web/${index}`;
  if (dice.chance(0.7))
    return { key, salt, candidates: entries.map((entry) => ({ weight: entry.width, identity: `web|80|${entry.cluster}`, entries: [entry] })) };
  return { key, salt, zoneKey: { kind: "header", name: "x-user" }, candidates: [{ weight: 1, identity: "web|80|", entries }] };
}

function listener(code: string): object {
  const strip = {
    name: "strip",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
      mutations: [{ remove_on_match: { key_matcher: { prefix: PICK_HEADER } } }],
    },
  };
  const wasmFilter = {
    name: FILTER,
    disabled: true,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name: FILTER,
        failure_policy: "FAIL_OPEN",
        vm_config: { vm_id: "sticky", runtime: "envoy.wasm.runtime.v8", code: { local: { inline_bytes: code } } },
      },
    },
  };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "sticky",
    early_header_mutation_extensions: [strip],
    route_config: toJson(RouteConfigurationSchema, configuration, { registry: createRegistry(FilterConfigSchema) }),
    http_filters: [wasmFilter, { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
  };
  return {
    name: "sticky",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}
