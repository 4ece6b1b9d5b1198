// Envoy's own route tests, replayed as HTTP through a real Envoy: the same pairs as control-plane/simulate/router-check.test.ts.
import { toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VirtualHost } from "../../control-plane/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { headerFailure } from "../../control-plane/simulate/condition.ts";
import {
  hasRouterCheckData,
  type RouterCheckCase,
  type RouterCheckPair,
  routerCheckPairs,
  type Validation,
} from "../../control-plane/simulate/router-check.ts";
import { type EchoUpstreams, keepAliveAgent, type Reply, send, startEchoUpstreams } from "./echo-upstream.ts";
import { type StaticEnvoy, startStaticEnvoy } from "./static-envoy.ts";

/** What of an expectation can be seen in HTTP. The names of virtual hosts and virtual clusters cannot. */
const OBSERVABLE: readonly (keyof Validation)[] = ["cluster_name", "path_rewrite", "host_rewrite", "path_redirect", "code_redirect", "timeout"];

/** Why a case is not replayed, or undefined where it is. */
function exclusion(check: RouterCheckCase): string | undefined {
  if (check.name === "Runtime / Test_4") return "expects what no Envoy does: a route with a fraction of 0 % taken by the request whose random number is 0";
  if (check.random) return "depends on the proxy's random number, which a client cannot set";
  const seen = OBSERVABLE.filter((field) => check.validate[field] !== undefined).length + check.requestHeaders.length + check.responseHeaders.length;
  return seen === 0 ? "asks only for a virtual cluster's or virtual host's name, which HTTP does not show" : undefined;
}

/** Expectations of single fields that HTTP does not show. */
const NOT_SHOWN: Readonly<Record<string, keyof Validation>> = {
  // The tool asks a direct response with status 200 where it would redirect to.
  "TestRoutes / ResponseHeaderMatches": "path_redirect",
  "TestRoutesFailures / ResponseHeaderMatches Failures": "path_redirect",
};

const pairs = routerCheckPairs();
const cases = pairs.flatMap(({ file, cases }) => cases.map((check) => ({ file, check })));
const agent = keepAliveAgent();
let upstreams: EchoUpstreams;
let envoy: StaticEnvoy;

beforeAll(async () => {
  if (!hasRouterCheckData) return;
  upstreams = await startEchoUpstreams([...new Set(pairs.flatMap(({ configuration }) => configuration.virtualHosts.flatMap(clustersOf)))].sort());
  // Only cases without a runtime key in force are replayed: it counts as 0 for them.
  envoy = await startStaticEnvoy({ listeners: pairs.map(listener), clusters: upstreams.clusters }, { id: "test", cluster: "test" }, { "runtime.key": 0 });
});

afterAll(async () => {
  agent.destroy();
  await envoy?.close();
  await upstreams?.close();
});

describe("a real Envoy (needs conformance data)", () => {
  it.skipIf(!hasRouterCheckData).each(cases.filter(({ check }) => exclusion(check) === undefined))(
    "answers as router_check does: $check.name",
    async ({ file, check }) => {
      const headers = { ...check.request.headers, ...(file === METADATA_FILE ? { "x-test-case": [check.name] } : {}) };
      const reply = await send(envoy.url(file), { ...check.request, headers }, agent);
      const fields = OBSERVABLE.filter((field) => check.validate[field] !== undefined && NOT_SHOWN[check.name] !== field);
      expect(Object.fromEntries(fields.map((field) => [field, observed(reply)[field]]))).toEqual(
        Object.fromEntries(fields.map((field) => [field, check.validate[field]])),
      );
      const upstream = { ...check.request, ...reply.echo };
      for (const matcher of check.requestHeaders) expect(headerFailure(matcher, upstream), matcher.name).toBeUndefined();
      const downstream = { ...check.request, headers: reply.headers };
      for (const matcher of check.responseHeaders) expect(headerFailure(matcher, downstream) === undefined, matcher.name).toBe(!check.responseHeadersWrong);
    },
  );

  it.skipIf(!hasRouterCheckData)("leaves out what HTTP cannot show", () => {
    const excluded = cases.flatMap(({ check }) => {
      const reason = exclusion(check);
      return reason === undefined ? [] : [`${check.name}: ${reason}`];
    });
    console.log(`${cases.length - excluded.length} of ${cases.length} cases replayed; not replayed:\n${excluded.join("\n")}`);
    expect(excluded).toMatchInlineSnapshot(`
      [
        "ComprehensiveRoutes / Test 4: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "Runtime / Test_2: depends on the proxy's random number, which a client cannot set",
        "Runtime / Test_3: depends on the proxy's random number, which a client cannot set",
        "Runtime / Test_4: expects what no Envoy does: a route with a fraction of 0 % taken by the request whose random number is 0",
        "Runtime / Test_5: depends on the proxy's random number, which a client cannot set",
        "TestRoutes / Test19: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test20: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test21: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test22: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test23: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test24: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test25: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test26: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test27: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test28: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test29: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
        "TestRoutes / Test30: asks only for a virtual cluster's or virtual host's name, which HTTP does not show",
      ]
    `);
  });
});

function observed({ status, headers, echo }: Reply): Validation {
  const timeout = echo?.headers["x-envoy-expected-rq-timeout-ms"]?.[0];
  return {
    cluster_name: echo?.cluster ?? "",
    path_rewrite: echo?.path ?? "",
    host_rewrite: echo?.authority ?? "",
    path_redirect: headers.location?.[0] ?? "",
    code_redirect: status,
    ...(timeout === undefined ? {} : { timeout: `${Number(timeout) / 1_000}s` }),
  };
}

function clustersOf(virtualHost: VirtualHost): readonly string[] {
  return virtualHost.routes.flatMap(({ action }) =>
    action.case === "route" && action.value.clusterSpecifier.case === "cluster" ? [action.value.clusterSpecifier.value] : [],
  );
}

function listener({ file, configuration, cases }: RouterCheckPair): object {
  const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: file,
    internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }] },
    route_config: toJson(RouteConfigurationSchema, configuration),
    http_filters: file === METADATA_FILE ? [metadataFilter(cases), router] : [router],
  };
  return {
    name: file,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}

const METADATA_FILE = "DynamicMetadata";

/** A filter before the router that writes the dynamic metadata of the case named in the request. */
function metadataFilter(cases: readonly RouterCheckCase[]): object {
  const branches = cases.map(({ name, request }) => {
    const writes = Object.entries(request.dynamicMetadata ?? {}).flatMap(([namespace, value]) =>
      Object.entries(value ?? {}).map(([key, member]) => `metadata:set("${namespace}", "${key}", ${luaValue(member)})`),
    );
    return `if name == "${name}" then ${writes.join(" ")} end`;
  });
  const code = `function envoy_on_request(handle)
  local name = handle:headers():get("x-test-case")
  local metadata = handle:streamInfo():dynamicMetadata()
  ${branches.join("\n  ")}
  handle:headers():remove("x-test-case")
  handle:clearRouteCache()
end`;
  return {
    name: "metadata",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", default_source_code: { inline_string: code } },
  };
}

function luaValue(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `["${key}"] = ${luaValue(member)}`)
    .join(", ")}}`;
}
