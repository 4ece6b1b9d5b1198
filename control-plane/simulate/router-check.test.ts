// Envoy's own route tests, put to the simulator.
import { describe, expect, it } from "vitest";
import { type LocalAnswer, localHeaders } from "./act.ts";
import { headerFailure } from "./condition.ts";
import type { Runtime } from "./fraction.ts";
import { matchVirtualCluster } from "./match-virtual-host.ts";
import type { HeaderMap, SimulatedRequest } from "./request.ts";
import { hasRouterCheckData, type RouterCheckCase, routerCheckPairs, type Validation } from "./router-check.ts";
import { type Simulation, simulate } from "./simulate.ts";

/** Expectations that Envoy itself does not fulfil, and why. */
const EXCLUDED: Readonly<Record<string, string>> = {
  "Runtime / Test_4": "expects a route with a fraction of 0 % to take the request whose random number is 0; Envoy takes none (random % 100 < 0)",
};

const pairs = routerCheckPairs();
const cases = pairs.flatMap(({ configuration, cases }) => cases.map((check) => ({ configuration, check })));

describe("the simulator (needs conformance data)", () => {
  it.skipIf(!hasRouterCheckData)("reads every pair", () => {
    expect(pairs.map(({ file, cases }) => `${file} ${cases.length}`)).toMatchInlineSnapshot(`
      [
        "ComprehensiveRoutes 4",
        "ContentType 3",
        "DynamicMetadata 10",
        "Redirect 11",
        "Redirect2 5",
        "Redirect4 2",
        "Runtime 7",
        "TestRoutes 33",
        "TestRoutesFailures 1",
        "Timeout 2",
      ]
    `);
  });

  it.skipIf(!hasRouterCheckData).each(cases.filter(({ check }) => EXCLUDED[check.name] === undefined))(
    "answers as router_check does: $check.name",
    ({ configuration, check }) => {
      const runtime: Runtime = check.runtimeKey === "runtime.key" ? {} : { "runtime.key": 0 };
      const simulation = simulate(configuration, check.request, runtime);
      expect(asTheTool(simulation, check)).toEqual(check.validate);
      const { request, response } = headersAfter(simulation, check.request);
      for (const matcher of check.requestHeaders) expect(headerFailure(matcher, request)).toBeUndefined();
      for (const matcher of check.responseHeaders) expect(headerFailure(matcher, response) === undefined, matcher.name).toBe(!check.responseHeadersWrong);
    },
  );

  it.skipIf(!hasRouterCheckData)("excludes only what exists", () => {
    expect(Object.keys(EXCLUDED).filter((name) => !cases.some(({ check }) => check.name === name))).toEqual([]);
  });
});

/** The simulation in the tool's words, as far as the case asks for them. */
function asTheTool({ host, taken, action }: Simulation, check: RouterCheckCase): Validation {
  const forward = action.kind === "forward" ? action : undefined;
  const destination = forward?.destinations[forward.chosen];
  const answer = action.kind === "redirect" || action.kind === "direct response" ? action : undefined;
  const seconds = forward?.timeoutMs === undefined ? "" : `${forward.timeoutMs / 1_000}s`;
  const all: Required<Validation> = {
    cluster_name: destination?.cluster ?? "",
    virtual_cluster_name: destination && host ? (matchVirtualCluster(host.virtualHost, check.request) ?? "") : "",
    virtual_host_name: destination && taken ? (host?.virtualHost.name ?? "") : "",
    path_rewrite: destination?.path ?? "",
    host_rewrite: destination?.authority ?? "",
    path_redirect: answer ? redirectOf(answer, check.request) : "",
    code_redirect: answer?.status ?? 0,
    timeout: seconds,
  };
  const asked = new Set(Object.keys(check.validate));
  return Object.fromEntries(Object.entries(all).filter(([name]) => asked.has(name)));
}

/** The tool asks a direct response for its redirect too. */
function redirectOf(answer: LocalAnswer, request: SimulatedRequest): string {
  return answer.location ?? `${request.scheme}://${request.authority}${request.path}`;
}

/** Headers of the request upstream and of the response, as requests, since that is what header conditions look at. */
function headersAfter({ action }: Simulation, request: SimulatedRequest): { readonly request: SimulatedRequest; readonly response: SimulatedRequest } {
  const only = (headers: HeaderMap): SimulatedRequest => ({ ...request, headers });
  if (action.kind === "redirect" || action.kind === "direct response") return { request, response: only(localHeaders(action, request)) };
  const destination = action.kind === "forward" ? action.destinations[action.chosen] : undefined;
  if (destination === undefined) return { request, response: only({}) };
  return { request: { ...request, authority: destination.authority, path: destination.path, headers: destination.headers }, response: only({}) };
}
