import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { matchVirtualHost } from "./match-virtual-host.ts";
import { readHost, type SimulatedRequest } from "./request.ts";

const domains = ["a.example", "*.example", "*-x.example", "*.b.example", "a.*", "a.ex*", "b.example:8080", "[::1]", "*"];
const configuration = create(RouteConfigurationSchema, { virtualHosts: domains.map((domain) => ({ name: domain, domains: [domain] })) });
const ignoringPorts = { ...configuration, ignorePortInHostMatching: true };

describe("matchVirtualHost", () => {
  it.each([
    ["prefers the exact domain", "a.example", "a.example"],
    ["compares without regard to case", "A.Example", "a.example"],
    ["takes the longest suffix", "q.b.example", "*.b.example"],
    ["takes a suffix that starts within a label", "q-x.example", "*-x.example"],
    ["prefers a suffix to a prefix", "a.b.example", "*.b.example"],
    ["takes the longest prefix", "a.exodus", "a.ex*"],
    ["wants at least one character for a wildcard", "a.", "*"],
    ["wants at least one character for a suffix too", ".b.example", "*.example"],
    ["compares the port", "b.example:8080", "b.example:8080"],
    ["does not take another port", "b.example:80", "*"],
    ["falls back to the one for everything", "other", "*"],
  ])("%s", (_, authority, domain) => {
    expect(matchVirtualHost(configuration, authority)?.domain).toBe(domain);
  });

  it.each([
    ["a.example:80", "a.example"],
    ["[::1]:80", "[::1]"],
    ["[::1]", "[::1]"],
  ])("leaves out the port of %s where it is told to", (authority, domain) => {
    expect(matchVirtualHost(ignoringPorts, authority)?.domain).toBe(domain);
  });

  it("finds none where nothing matches", () => {
    expect(matchVirtualHost(create(RouteConfigurationSchema, { virtualHosts: [{ name: "a", domains: ["a"] }] }), "b")).toBeUndefined();
  });
});

describe("readHost", () => {
  const request: SimulatedRequest = { method: "GET", scheme: "http", authority: "", path: "/", headers: {}, random: 0 };
  it.each([
    ["a.example:80", { stripPort: "any" as const, stripTrailingDot: false }, "a.example"],
    ["a.example:80", { stripPort: "matching" as const, listenerPort: 80, stripTrailingDot: false }, "a.example"],
    ["a.example:80", { stripPort: "matching" as const, listenerPort: 81, stripTrailingDot: false }, "a.example:80"],
    ["a.example.:80", { stripPort: "never" as const, stripTrailingDot: true }, "a.example:80"],
    ["[::1]", { stripPort: "any" as const, stripTrailingDot: false }, "[::1]"],
  ])("reads %s with %o as %s", (authority, reading, expected) => {
    expect(readHost({ ...request, authority }, reading).authority).toBe(expected);
  });
});
