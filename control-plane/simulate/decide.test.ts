import { create } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, it } from "vitest";
import { buildFilter } from "../../filter/build.ts";
import { FilterConfigSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { packAny } from "../translate/any.ts";
import { type DecisionRecord, encodeDecisionRecord, stickyCandidate } from "../translate/decision-record.ts";
import { FILTER, PICK_HEADER } from "../translate/names.ts";
import { type FilterInstance, loadFilter, simulateDecided } from "./decide.ts";
import type { SimulatedRequest } from "./request.ts";

const record: DecisionRecord = {
  key: { kind: "header", name: "x-user" },
  salt: "default/web/primary",
  candidates: [
    { weight: 70, identity: "web|80|v1", entries: [{ width: 70, cluster: "v1" }] },
    { weight: 30, identity: "web|80|v2", entries: [{ width: 30, cluster: "v2" }] },
  ],
};

function withRecord(decided: DecisionRecord, turnedOn = true): RouteConfiguration {
  const clusters = decided.candidates.flatMap(({ entries }) => entries.map(({ cluster, width }) => ({ name: cluster, weight: width })));
  const route = {
    match: { pathSpecifier: { case: "prefix" as const, value: "/" } },
    metadata: { filterMetadata: { [FILTER]: { ...encodeDecisionRecord(decided) } } },
    typedPerFilterConfig: turnedOn ? { [FILTER]: packAny(FilterConfigSchema, { config: {} }) } : {},
    action: {
      case: "route" as const,
      value: {
        clusterSpecifier: { case: "weightedClusters" as const, value: { clusters, randomValueSpecifier: { case: "headerName" as const, value: PICK_HEADER } } },
      },
    },
  };
  return create(RouteConfigurationSchema, { virtualHosts: [{ name: "web", domains: ["*"], routes: [route] }] });
}

const request = (headers: SimulatedRequest["headers"], random = 0): SimulatedRequest => ({
  method: "GET",
  scheme: "http",
  authority: "web",
  path: "/",
  headers,
  random,
});

describe("simulateDecided", () => {
  let filter: FilterInstance;
  beforeAll(async () => {
    filter = await loadFilter((await buildFilter()).path, new Uint8Array(8));
  });

  it("chooses as the reference does, whatever pick the client sends", () => {
    for (let user = 0; user < 100; user++) {
      const { action, choice } = simulateDecided(withRecord(record), request({ "x-user": [`${user}`], [PICK_HEADER]: ["99"] }), filter);
      const expected = record.candidates[stickyCandidate(record, `${user}`)];
      expect(choice?.candidate).toEqual(expected);
      expect(action).toMatchObject({ kind: "forward", by: "pick", chosen: expected?.identity === "web|80|v1" ? 0 : 1 });
    }
  });

  it("leaves the draw to the proxy where the filter is off on the route", () => {
    const { action, choice } = simulateDecided(withRecord(record, false), request({ "x-user": ["1"], [PICK_HEADER]: ["99"] }, 70), filter);
    expect(choice).toBeUndefined();
    expect(action).toMatchObject({ chosen: 1, by: "random number" });
  });

  it("tells the cookie that a client without one gets", () => {
    const byCookie: DecisionRecord = { ...record, key: { kind: "cookie", name: "user", attributes: "Path=/" } };
    const first = simulateDecided(withRecord(byCookie), request({}), filter).choice;
    expect(first?.cookie).toMatch(/^user=[0-9a-f]{16};Path=\/$/);
    const value = first?.cookie?.split(";")[0] ?? "";
    const again = simulateDecided(withRecord(byCookie), request({ cookie: [value] }), filter).choice;
    expect(again?.candidate).toEqual(first?.candidate);
    expect(again?.cookie).toBeUndefined();
  });
});
