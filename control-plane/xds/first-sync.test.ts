// The first sync of a large mesh: in portions that all streams of a view share, every resource once, and right whatever happens in between.
import { describe, expect, it } from "vitest";
import { EMPTY_QUARANTINE } from "../snapshot/quarantine.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import type { TranslatedResource } from "../translate/resource.ts";
import { testResource } from "./fake-envoy.ts";
import { nextResponse, receiveRequest, setTarget } from "./stream.ts";
import { newStream } from "./stream-state.ts";
import { StreamUnderTest } from "./stream-under-test.ts";
import { encodeResponse } from "./wire.ts";

const SERVICES = Array.from({ length: 8 }, (_, index) => `service-${index}`);
/** A portion is full after two or three of these. */
const LARGE = "x".repeat(60_000);

function resources(revision = "1"): readonly TranslatedResource[] {
  return [
    testResource("listener", "http", { routes: ["http-routes"] }),
    testResource("route", "http-routes", { vhds: true }),
    ...SERVICES.flatMap((name) => [
      testResource("cluster", name, { endpoints: `${name}-endpoints`, revision: `${revision} ${LARGE}` }),
      testResource("endpoint", `${name}-endpoints`, { revision: LARGE }),
      testResource("virtualHost", `http-routes/${name}`, { clusters: [name], domains: [name] }),
    ]),
  ];
}

const sentOf = ({ sent }: StreamUnderTest, type: string): readonly (readonly string[])[] =>
  sent.filter((response) => response.type === type).map((response) => response.resources.map(({ name }) => name));

describe("a first sync", () => {
  it("goes in portions of clusters and their endpoints, every resource once, and all hosts together", () => {
    const test = new StreamUnderTest();
    test.publish(resources());
    test.settle();
    expect(test.envoy.complaints).toEqual([]);
    expect(sentOf(test, "cluster").length).toBeGreaterThan(2);
    expect(sentOf(test, "cluster").flat()).toEqual(SERVICES);
    expect(sentOf(test, "endpoint").flat()).toEqual(SERVICES.map((name) => `${name}-endpoints`));
    expect(sentOf(test, "virtualHost")).toEqual([SERVICES.map((name) => `http-routes/${name}`)]);
    expect(test.ackedRevision).toBe(1);
  });

  it("is put together once for all streams of a view", () => {
    const shared = resources();
    const proxies = new Map(["a", "b"].map((proxyId) => [proxyId, { proxyId, resources: shared, shared, own: [] }]));
    const snapshot = buildSnapshot({ translation: { proxies, diagnostics: [] }, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision: 1 });
    const [first, second] = ["a", "b"].map((proxyId) => {
      const stream = newStream(proxyId);
      const target = snapshot.proxies.get(proxyId);
      if (target !== undefined) setTarget(stream, target, 0);
      receiveRequest(stream, { typeUrl: TYPE_URLS.cluster, subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "" });
      const response = nextResponse(stream, 0);
      return response && encodeResponse(response);
    });
    expect(first?.length).toBeGreaterThan(LARGE.length);
    expect(second).toBe(first);
  });

  it("ends with what is published while it is under way", () => {
    const test = new StreamUnderTest();
    test.publish(resources());
    for (let step = 0; step < 2; step++) {
      test.takeRequest();
      test.writeResponse();
      test.deliverResponse();
    }
    expect(sentOf(test, "cluster").flat().length).toBeLessThan(SERVICES.length);
    test.publish(resources("2"));
    test.settle();
    expect(test.envoy.complaints).toEqual([]);
    expect(test.ackedRevision).toBe(2);
    test.forget();
    test.connect();
    test.settle();
    expect(test.lines()).toEqual([]);
  });

  it("leaves nothing of a client's own in memory when it holds what it is to hold", () => {
    const test = new StreamUnderTest();
    test.publish(resources());
    test.settle();
    test.publish(resources("2"));
    test.settle();
    for (const type of ["cluster", "endpoint", "virtualHost"] as const) expect(test.state.subscriptions[type].held.added()).toHaveLength(1);
    test.restart();
    test.settle();
    for (const type of ["cluster", "endpoint", "virtualHost"] as const) expect(test.state.subscriptions[type].held.added()).toHaveLength(1);
  });
});
