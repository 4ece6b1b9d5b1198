import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RouteMatch_ConnectMatcherSchema, type RouteMatchSchema, RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { routeFailure } from "./match-route.ts";
import type { SimulatedRequest } from "./request.ts";

const get: SimulatedRequest = {
  method: "GET",
  scheme: "http",
  authority: "web:80",
  path: "/a/B?q=1&q=2&r",
  headers: { "x-a": ["1", "abc"], "x-n": ["-5"] },
  random: 30,
};

type Match = Exclude<MessageInitShape<typeof RouteMatchSchema>, { $typeName: string }>;

/** `path: "/a" is "/b"`, or `takes it`. */
function verdict(match: Match, request: SimulatedRequest = get, ignorePathParameters = false): string {
  const route = create(RouteSchema, { match: { pathSpecifier: { case: "prefix", value: "/" }, ...match } });
  const failure = routeFailure(route, request, { ignorePathParameters, runtime: { off: 0 } });
  return failure === undefined ? "takes it" : `${failure.kind} ${failure.name}: ${failure.expected}, is ${failure.actual}`;
}

const header = (name: string, specifier: NonNullable<NonNullable<Match["headers"]>[number]["headerMatchSpecifier"]>, more: object = {}): Match => ({
  headers: [{ name, headerMatchSpecifier: specifier, ...more }],
});
const exact = (value: string) => ({ case: "stringMatch" as const, value: { matchPattern: { case: "exact" as const, value } } });

describe("routeFailure", () => {
  it.each<[string, Match, string]>([
    ["a prefix in the path without its query", { pathSpecifier: { case: "prefix", value: "/a/B?" } }, 'path :path: prefix "/a/B?", is /a/B'],
    ["an exact path", { pathSpecifier: { case: "path", value: "/a/B" } }, "takes it"],
    ["any case", { pathSpecifier: { case: "path", value: "/A/b" }, caseSensitive: false }, "takes it"],
    ["a regular expression for the whole path", { pathSpecifier: { case: "safeRegex", value: { regex: "/a" } } }, 'path :path: regex "/a", is /a/B'],
    ["a prefix that ends at a slash", { pathSpecifier: { case: "pathSeparatedPrefix", value: "/a" } }, "takes it"],
    ["no prefix that ends within a segment", { pathSpecifier: { case: "pathSeparatedPrefix", value: "/a/" } }, 'path :path: path prefix "/a/", is /a/B'],
    ["CONNECT", { pathSpecifier: { case: "connectMatcher", value: create(RouteMatch_ConnectMatcherSchema) } }, "connect :method: CONNECT, is GET"],
    [
      "an extension, which only the proxy has",
      { pathSpecifier: { case: "pathMatchPolicy", value: { name: "uri" } } },
      "unsupported :path: extension uri, is /a/B?q=1&q=2&r",
    ],
    ["gRPC", { grpc: {} }, "grpc content-type: application/grpc, is undefined"],
    ["a fraction that the random number is within", { runtimeFraction: { defaultValue: { numerator: 31 } } }, "takes it"],
    ["a fraction that it is not within", { runtimeFraction: { defaultValue: { numerator: 30 } } }, "fraction : 30 % of requests, is random number 30"],
    [
      "a fraction that the runtime sets",
      { runtimeFraction: { defaultValue: { numerator: 100 }, runtimeKey: "off" } },
      "fraction off: 0 % of requests, is random number 30",
    ],
    ["one of several header lines", header("X-A", exact("abc")), "takes it"],
    ["no joined header lines", header("x-a", exact("1,abc")), 'header x-a: exact "1,abc", is 1,abc'],
    ["an inverted condition only where no line fulfils it", header("x-a", exact("1"), { invertMatch: true }), 'header x-a: not exact "1", is 1,abc'],
    ["no missing header, inverted or not", header("x-z", exact("1"), { invertMatch: true }), 'header x-z: not exact "1", is undefined'],
    ["a missing header that counts as empty", header("x-z", exact("1"), { invertMatch: true, treatMissingHeaderAsEmpty: true }), "takes it"],
    ["absence", header("x-z", { case: "presentMatch", value: false }), "takes it"],
    ["a number in a range", header("x-n", { case: "rangeMatch", value: { start: -5n, end: 0n } }), "takes it"],
    ["no number at a range's end", header("x-n", { case: "rangeMatch", value: { start: -9n, end: -5n } }), "header x-n: number from -9 to below -5, is -5"],
    ["host, which is :authority", header("host", exact("web:80")), "takes it"],
    ["x-forwarded-proto, which the proxy sets", header("x-forwarded-proto", exact("http")), "takes it"],
    ["the first of several query parameters", { queryParameters: [{ name: "q", queryParameterMatchSpecifier: exact("2") }] }, 'query q: exact "2", is 1'],
    ["a query parameter without a value", { queryParameters: [{ name: "r" }] }, "takes it"],
    ["a client certificate, which a simulated request has not", { tlsContext: { presented: true } }, "tls presented: a client certificate, is undefined"],
  ])("matches %s", (_, match, expected) => {
    expect(verdict(match)).toBe(expected);
  });

  it("leaves path parameters out of every segment where they are to be ignored", () => {
    const request = { ...get, path: "/b;x=1/a;y?z;" };
    expect(verdict({ pathSpecifier: { case: "path", value: "/b/a" } }, request, true)).toBe("takes it");
    expect(verdict({ pathSpecifier: { case: "path", value: "/b/a" } }, request)).toBe('path :path: exact "/b/a", is /b;x=1/a;y');
  });

  it("throws on a pattern that RE2 refuses, as Envoy refuses the configuration", () => {
    expect(() => verdict({ pathSpecifier: { case: "safeRegex", value: { regex: "(?=a)" } } })).toThrow();
  });
});
