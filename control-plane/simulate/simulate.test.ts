import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base_pb.js";
import type { RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { FractionalPercent_DenominatorType } from "../gen/envoy/type/v3/percent_pb.js";
import { packAny } from "../translate/any.ts";
import { answeredHeaders, localHeaders } from "./act.ts";
import { unknownOperators } from "./format.ts";
import type { SimulatedRequest } from "./request.ts";
import { simulate } from "./simulate.ts";

const get: SimulatedRequest = {
  method: "GET",
  scheme: "http",
  authority: "web:80",
  path: "/api/x?q=1",
  headers: { "x-a": ["1"], cookie: ['c="v"; d=2'] },
  sourceAddress: "10.0.0.9",
  random: 5,
};

type RouteInit = Exclude<MessageInitShape<typeof RouteSchema>, { $typeName: string }>;

function withRoute(route: RouteInit): RouteConfiguration {
  const match: RouteInit["match"] = { pathSpecifier: { case: "prefix", value: "/api" } };
  return create(RouteConfigurationSchema, { virtualHosts: [{ name: "web", domains: ["*"], routes: [{ name: "r", match, ...route }] }] });
}

describe("simulate", () => {
  it("forwards to the weighted cluster in whose interval the pick falls, and says every share", () => {
    const clusters = [
      { name: "v1", weight: 80 },
      { name: "v2", weight: 20, requestHeadersToAdd: [{ header: { key: "x-b", value: "%REQ(x-a)%!" } }] },
    ];
    const configuration = withRoute({
      action: {
        case: "route",
        value: { clusterSpecifier: { case: "weightedClusters", value: { clusters, randomValueSpecifier: { case: "headerName", value: "x-pick" } } } },
      },
    });
    const drawn = simulate(configuration, get).action;
    const picked = simulate(configuration, { ...get, headers: { ...get.headers, "x-pick": ["80"] } }).action;
    expect(drawn).toMatchObject({ kind: "forward", chosen: 0, by: "random number", destinations: [{ cluster: "v1", share: 0.8 }, { share: 0.2 }] });
    expect(picked).toMatchObject({ chosen: 1, by: "pick", destinations: [{ headers: { "x-a": ["1"] } }, { cluster: "v2", headers: { "x-b": ["1!"] } }] });
  });

  it("summarises what a route asks for beside its cluster", () => {
    const configuration = withRoute({
      action: {
        case: "route",
        value: {
          clusterSpecifier: { case: "cluster", value: "v1" },
          prefixRewrite: "/",
          hostRewriteSpecifier: { case: "hostRewriteLiteral", value: "new" },
          appendXForwardedHost: true,
          timeout: { seconds: 2n, nanos: 500_000_000 },
          retryPolicy: { retryOn: "connect-failure,reset", numRetries: 3, perTryTimeout: { seconds: 1n } },
          requestMirrorPolicies: [
            { cluster: "copy", runtimeFraction: { defaultValue: { numerator: 1, denominator: FractionalPercent_DenominatorType.TEN_THOUSAND } } },
          ],
          hashPolicy: [
            { policySpecifier: { case: "cookie", value: { name: "c" } }, terminal: true },
            { policySpecifier: { case: "connectionProperties", value: { sourceIp: true } } },
          ],
        },
      },
      typedPerFilterConfig: {
        "envoy.filters.http.fault": packAny(HTTPFaultSchema, {
          delay: { faultDelaySecifier: { case: "fixedDelay", value: { seconds: 5n } }, percentage: { numerator: 10 } },
          abort: { errorType: { case: "httpStatus", value: 418 }, percentage: { numerator: 1 } },
        }),
      },
    });
    expect(simulate(configuration, get).action).toMatchObject({
      kind: "forward",
      by: "nothing",
      timeoutMs: 2_500,
      retries: { on: ["connect-failure", "reset"], attempts: 3, perTryTimeoutMs: 1_000 },
      mirrors: [{ cluster: "copy", share: 0.0001, authority: "new-shadow" }],
      hash: [
        { kind: "cookie", name: "c", value: "v", terminal: true },
        { kind: "source address", value: "10.0.0.9" },
      ],
      destinations: [
        {
          path: "//x?q=1",
          authority: "new",
          headers: { "x-forwarded-host": ["web:80"] },
          faults: { delay: { ms: 5_000, share: 0.1 }, abort: { httpStatus: 418, share: 0.01 } },
        },
      ],
    });
  });

  it("redirects, with the request's own port only where it still fits", () => {
    const configuration = withRoute({ action: { case: "redirect", value: { schemeRewriteSpecifier: { case: "httpsRedirect", value: true } } } });
    expect(simulate(configuration, get).action).toMatchObject({ kind: "redirect", status: 301, location: "https://web/api/x?q=1" });
  });

  it("answers by itself, with the headers that the route adds", () => {
    const configuration = withRoute({
      action: { case: "directResponse", value: { status: 503, body: { specifier: { case: "inlineString", value: "böse" } } } },
      responseHeadersToAdd: [
        { header: { key: "x-from", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" } },
        { header: { key: "x-absent", value: "no" }, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS },
      ],
    });
    const { action } = simulate(configuration, get);
    if (action.kind !== "direct response") throw new Error(action.kind);
    expect(action.status).toBe(503);
    expect(localHeaders(action, get)).toEqual({ "content-length": ["5"], "content-type": ["text/plain"], "x-from": ["10.0.0.9"] });
    expect(answeredHeaders({ "x-absent": ["yes"] }, action.responseSteps, get)).toEqual({ "x-absent": ["no"], "x-from": ["10.0.0.9"] });
  });

  it("tells a gRPC client its status", () => {
    const grpc = { ...get, path: "/", headers: { "content-type": ["application/grpc"] } };
    expect(simulate(withRoute({}), grpc).action).toEqual({ kind: "no route", status: 200, grpcStatus: 12 });
  });

  it("names the condition that each route passed over has failed", () => {
    const { passed, taken, action } = simulate(withRoute({}), { ...get, path: "/" });
    expect(taken).toBeUndefined();
    expect(action).toEqual({ kind: "no route", status: 404 });
    expect(passed.map(({ route, failure }) => [route.name, failure])).toEqual([["r", { kind: "path", name: ":path", expected: 'prefix "/api"', actual: "/" }]]);
  });

  it("reports what only a proxy can do", () => {
    const action: RouteInit["action"] = { case: "route", value: { clusterSpecifier: { case: "clusterSpecifierPlugin", value: "lua" } } };
    expect(simulate(withRoute({ action }), get).action).toEqual({ kind: "unsupported", what: "clusterSpecifierPlugin" });
    expect(unknownOperators("%START_TIME% 100%% %REQ(x)%")).toEqual(["%START_TIME%", "%REQ(x)%"]);
  });
});
