// What is read by hand, against the generated code.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { encodeResource } from "../snapshot/encode.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import { FILTER_DEATHS } from "../translate/filter-deaths.ts";
import { parseMetrics } from "./metrics-service.ts";
import { reportOf } from "./reported-metrics.ts";
import { encodeResponse, parseRequest, typeOfUrl } from "./wire.ts";

describe("a delta request", () => {
  it("is read: node, subscriptions, versions, nonce and error", () => {
    const bytes = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        node: { id: "sidecar~a", cluster: "product", userAgentName: "envoy", locality: { zone: "a" } },
        typeUrl: TYPE_URLS.cluster,
        resourceNamesSubscribe: ["a", "b"],
        resourceNamesUnsubscribe: ["c"],
        initialResourceVersions: { a: "1", b: "2" },
        responseNonce: "7",
        errorDetail: { code: 13, message: "no such thing" },
      }),
    );
    expect(parseRequest(bytes)).toEqual({
      node: { id: "sidecar~a", cluster: "product" },
      typeUrl: TYPE_URLS.cluster,
      subscribe: ["a", "b"],
      unsubscribe: ["c"],
      initialVersions: new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
      nonce: "7",
      error: "no such thing",
    });
  });

  it("has neither node nor error where those are absent, and an error where its text is empty", () => {
    const plain = parseRequest(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: "x" })));
    expect([plain.node, plain.error]).toEqual([undefined, undefined]);
    expect(parseRequest(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { errorDetail: {} }))).error).toBe("");
  });

  // Rule 8: the first request of a stream carries the whole node.
  it("keeps two strings of a node of 61 KB", () => {
    const extensions = Array.from({ length: 600 }, (_, index) => ({
      name: `envoy.filters.http.extension_number_${index}`,
      category: "envoy.filters.http",
      typeUrls: ["x".repeat(40)],
    }));
    const bytes = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node: { id: "a", cluster: "b", extensions } }));
    expect(bytes.length).toBeGreaterThan(61_000);
    expect(JSON.stringify(parseRequest(bytes).node)).toBe('{"id":"a","cluster":"b"}');
  });

  it.each([[new Uint8Array([0x0a, 0xff])], [new TextEncoder().encode("GET / HTTP/1.1")]])("throws on what is no message", (bytes) => {
    expect(() => parseRequest(bytes)).toThrow();
  });
});

describe("a delta response", () => {
  it("is what the generated code reads", () => {
    const body = toBinary(ClusterSchema, create(ClusterSchema, { name: "web" }));
    const resource = encodeResource({ type: "cluster", name: "web", body, origins: [], needs: [] });
    const bytes = encodeResponse({ type: "cluster", nonce: "3", resources: [resource, resource], removed: ["old", "older"] });
    const read = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    expect(read).toMatchObject({ typeUrl: TYPE_URLS.cluster, nonce: "3", removedResources: ["old", "older"] });
    expect(read.resources.map(({ name, version }) => [name, version])).toEqual([
      ["web", resource.version],
      ["web", resource.version],
    ]);
    expect(fromBinary(ClusterSchema, read.resources[0]?.resource?.value ?? new Uint8Array()).name).toBe("web");
  });

  it("knows the type URLs that Weft serves, and no others", () => {
    expect(typeOfUrl(TYPE_URLS.extension)).toBe("extension");
    expect(typeOfUrl("type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration")).toBeUndefined();
  });
});

describe("a report of statistics", () => {
  it.each([
    ["the proxy and the deaths of its filter", reportOf("sidecar~a", FILTER_DEATHS, 3), { proxyId: "sidecar~a", filterDeaths: 3 }],
    ["deaths without a proxy", reportOf(undefined, FILTER_DEATHS, 3), { filterDeaths: 3 }],
    ["nothing of deaths where none has been counted", reportOf("a", "server.uptime", 1), { proxyId: "a" }],
    ["nothing of a counter that only begins alike", reportOf("a", `${FILTER_DEATHS}_not`, 1), { proxyId: "a" }],
    ["nothing where there is nothing", Buffer.alloc(0), {}],
  ])("says %s", (_, bytes, said) => {
    expect(parseMetrics(bytes)).toEqual(said);
  });
});
