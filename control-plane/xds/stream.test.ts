// The rules of delta xDS, one test each, against the model of Envoy. envoy/e2e/xds-rules.test.ts shows the weightier ones on the real one.
import { describe, expect, it } from "vitest";
import type { TranslatedResource } from "../translate/resource.ts";
import { contentOf, testResource } from "./fake-envoy.ts";
import { receiveRequest, wakeAtMs } from "./stream.ts";
import { StreamUnderTest } from "./stream-under-test.ts";
import type { DeltaRequest } from "./wire.ts";

const TYPE = "type.googleapis.com/";
const CLUSTER = `${TYPE}envoy.config.cluster.v3.Cluster`;
const ENDPOINT = `${TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment`;
const LISTENER = `${TYPE}envoy.config.listener.v3.Listener`;

/** A cluster and its endpoints. */
function service(name: string, revision = "1", endpoints = "1"): readonly TranslatedResource[] {
  return [testResource("cluster", name, { endpoints: `${name}-endpoints`, revision }), testResource("endpoint", `${name}-endpoints`, { revision: endpoints })];
}

/** A listener, its route configuration, and one virtual host per cluster, of which the last has the domain `*`. */
function port(name: string, clusters: readonly string[], extensions: readonly string[] = []): readonly TranslatedResource[] {
  return [
    testResource("listener", name, { routes: [`${name}-routes`], extensions }),
    testResource("route", `${name}-routes`, { vhds: true }),
    ...clusters.map((cluster, index) => host(name, cluster, { domains: [index === clusters.length - 1 ? "*" : cluster] })),
  ];
}

function host(listener: string, cluster: string, content: Parameters<typeof testResource>[2] = {}): TranslatedResource {
  return testResource("virtualHost", `${listener}-routes/${cluster}`, { clusters: [cluster], domains: [cluster], ...content });
}

const FILTER = testResource("extension", "weft");
const MESH = [...service("web"), ...service("api"), ...port("http", ["api", "web"], ["weft"]), FILTER];

/** A stream on which these resources were published and taken. */
function streamWith(resources: readonly TranslatedResource[]): StreamUnderTest {
  const test = new StreamUnderTest();
  test.publish(resources);
  test.settle();
  expect(test.envoy.complaints).toEqual([]);
  expect(test.ackedRevision).toBe(1);
  test.forget();
  return test;
}

function without(resources: readonly TranslatedResource[], ...names: readonly string[]): readonly TranslatedResource[] {
  return resources.filter(({ name }) => !names.includes(name));
}

function replaced(resources: readonly TranslatedResource[], ...fresh: readonly TranslatedResource[]): readonly TranslatedResource[] {
  return resources.map((resource) => fresh.find(({ type, name }) => type === resource.type && name === resource.name) ?? resource);
}

function request(typeUrl: string, fields: Partial<DeltaRequest>): DeltaRequest {
  return { typeUrl, subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "", ...fields };
}

describe("a proxy that is to hold nothing", () => {
  it("is told so, once for clusters and once for listeners: else Envoy waits for each", () => {
    const test = new StreamUnderTest();
    test.publish([FILTER]);
    test.settle();
    expect(test.sent.map(({ type, resources, removed }) => [type, resources.length, removed.length])).toEqual([
      ["cluster", 0, 0],
      ["listener", 0, 0],
    ]);
    expect(test.ackedRevision).toBe(1);
  });
});

describe("order (rule 1)", () => {
  it("sends what is named before what names it, and the filter last", () => {
    const before = [...MESH, testResource("listener", "tcp", { routes: ["tcp-routes"] }), testResource("route", "tcp-routes", { clusters: ["web"] })];
    const test = streamWith(before);
    const changed = (resource: TranslatedResource) => testResource(resource.type, resource.name, { ...contentOf(resource), revision: "2" });
    test.publish(before.map((resource) => (resource.name === "http-routes" ? resource : changed(resource))));
    test.settle();
    expect(test.sent.map(({ type }) => type)).toEqual(["cluster", "endpoint", "listener", "route", "virtualHost", "extension"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("brings a new proxy up without a moment in which a request would fail", () => {
    const inline = [
      testResource("listener", "inbound", { clusters: ["api"], extensions: ["weft"] }),
      testResource("route", "tcp-routes", { clusters: ["web"] }),
    ];
    const test = streamWith([...MESH, ...inline, testResource("listener", "tcp", { routes: ["tcp-routes"] })]);
    expect([...test.envoy.listeners.keys()].sort()).toEqual(["http", "inbound", "tcp"]);
    expect(test.envoy.routes.get("http-routes")?.hosts.size).toBe(2);
    expect(test.envoy.extensions.has("weft")).toBe(true);
  });

  it("holds back a virtual host until the new cluster that it names has its endpoints", () => {
    const test = streamWith(MESH);
    test.publish([...replaced(MESH, host("http", "web", { clusters: ["web-v2"], domains: ["*"] })), ...service("web-v2")]);
    test.settle();
    expect(test.lines()).toEqual(["cluster web-v2", "endpoint web-v2-endpoints", "virtualHost http-routes/web"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("gates nothing on the ACK of a cluster that waits for a secret", () => {
    const test = new StreamUnderTest();
    test.publish(MESH);
    for (const typeUrl of [CLUSTER, LISTENER]) receiveRequest(test.state, request(typeUrl, {}));
    expect(test.writeResponse()).toBe(true);
    receiveRequest(test.state, request(ENDPOINT, { subscribe: ["web-endpoints", "api-endpoints"] }));
    while (test.writeResponse());
    expect(test.sent.map(({ type }) => type)).toEqual(["cluster", "endpoint", "listener"]);
  });

  it("removes a cluster last, and only when a request that holds its former route must be over", () => {
    const test = streamWith(MESH);
    test.publish(without(MESH, "api", "api-endpoints", "http-routes/api"));
    test.settle();
    expect(test.lines()).toEqual(["-virtualHost http-routes/api"]);
    test.nowMs += 14_999;
    test.settle();
    expect(test.lines()).toHaveLength(1);
    test.nowMs += 1;
    test.settle();
    expect(test.lines()).toEqual(["-virtualHost http-routes/api", "-cluster api"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("wakes for a removal that falls due after the stream was asked last, however late it looks at the clock", () => {
    const test = streamWith(MESH);
    test.publish(without(MESH, "api", "api-endpoints", "http-routes/api"));
    test.settle();
    const dueMs = test.nowMs + 15_000;
    expect(wakeAtMs(test.state, dueMs - 0.001)).toBe(dueMs);
    expect(wakeAtMs(test.state, dueMs)).toBeUndefined();
  });

  it("waits for requests in the fault delay of a route that is gone, also when its cluster goes in a later edit", () => {
    const test = new StreamUnderTest();
    test.removalDelayMs = 60_000;
    test.publish(MESH);
    test.settle();
    test.removalDelayMs = 15_000;
    test.publish(replaced(MESH, host("http", "api", { revision: "2" })));
    test.settle();
    test.nowMs += 5_000;
    test.publish(without(MESH, "api", "api-endpoints", "http-routes/api"));
    test.settle();
    test.forget();
    test.nowMs = 59_999;
    test.settle();
    expect(test.lines()).toEqual([]);
    test.nowMs = 60_000;
    test.settle();
    expect(test.lines()).toEqual(["-cluster api"]);
  });

  it("keeps a cluster that is named again before its time is up", () => {
    const test = streamWith(MESH);
    test.publish(without(MESH, "api", "api-endpoints", "http-routes/api"));
    test.settle();
    test.nowMs += 10_000;
    test.publish(MESH);
    test.settleRemovals();
    expect(test.lines()).toEqual(["-virtualHost http-routes/api", "virtualHost http-routes/api"]);
  });
});

describe("warming (rule 2)", () => {
  it("resends endpoints after a changed cluster", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, ...service("web", "2")));
    test.settle();
    expect(test.lines()).toEqual(["cluster web", "endpoint web-endpoints"]);
    expect(test.envoy.isWarming()).toBe(false);
  });

  it("does not wait for the cluster's ACK before the endpoints", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, ...service("web", "2")));
    while (test.writeResponse());
    expect(test.lines()).toEqual(["cluster web", "endpoint web-endpoints"]);
  });

  it("sends endpoints alone when only they have changed", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, ...service("web", "1", "2")));
    test.settle();
    expect(test.lines()).toEqual(["endpoint web-endpoints"]);
  });

  it("ends the warming of a cluster whose endpoints were on their way when the stream broke", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, ...service("web", "2")));
    test.writeResponse();
    test.deliverResponse();
    expect(test.envoy.isWarming()).toBe(true);
    test.connect();
    test.settle();
    expect(test.envoy.isWarming()).toBe(false);
    expect(test.envoy.complaints).toEqual([]);
  });
});

describe("the filter (rule 3)", () => {
  it("never removes the filter while a listener uses it", () => {
    const test = streamWith(MESH);
    test.publish(replaced(without(MESH, "weft"), testResource("listener", "http", { routes: ["http-routes"] })));
    test.settle();
    expect(test.lines()).toEqual(["listener http"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("sends a new filter to the listener that stands", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, testResource("extension", "weft", { revision: "2" })));
    test.settle();
    expect(test.lines()).toEqual(["extension weft"]);
  });
});

describe("reconnecting (rule 4)", () => {
  it("sends nothing to a proxy that reconnects with equal versions", () => {
    const test = streamWith(MESH);
    test.connect();
    test.settle();
    expect(test.sent).toEqual([]);
    expect(test.ackedRevision).toBe(1);
  });

  it("sends nothing after a restart of the control plane", () => {
    const test = streamWith(MESH);
    test.restart();
    test.settle();
    expect(test.sent).toEqual([]);
    expect(test.ackedRevision).toBe(1);
  });

  it("sends only what differs, and removes what has vanished meanwhile", () => {
    const test = streamWith([...MESH, ...service("old")]);
    test.connect();
    test.publish(replaced(MESH, ...service("web", "1", "2")));
    test.settleRemovals();
    expect(test.lines()).toEqual(["endpoint web-endpoints", "-cluster old"]);
  });

  it("removes the virtual hosts that have vanished meanwhile", () => {
    const test = streamWith(MESH);
    test.connect();
    test.publish(without(MESH, "http-routes/api"));
    test.settle();
    expect(test.lines()).toEqual(["-virtualHost http-routes/api"]);
  });
});

describe("subscriptions (rule 5)", () => {
  it.each([
    { name: "an empty first subscription", subscribe: [] },
    { name: "an explicit *", subscribe: ["*"] },
  ])("takes $name for all clusters", ({ subscribe }) => {
    const test = new StreamUnderTest();
    test.publish(service("web"));
    receiveRequest(test.state, request(CLUSTER, { subscribe }));
    test.writeResponse();
    expect(test.lines()).toEqual(["cluster web"]);
  });

  it("answers the unsubscription of one name under a wildcard, with the resource or its removal", () => {
    const test = streamWith(MESH);
    receiveRequest(test.state, request(CLUSTER, { unsubscribe: ["web", "unknown"] }));
    test.writeResponse();
    expect(test.lines()).toEqual(["cluster web", "-cluster unknown"]);
  });

  it("answers a subscription to what the client holds already", () => {
    const test = streamWith(MESH);
    receiveRequest(test.state, request(ENDPOINT, { subscribe: ["web-endpoints"] }));
    test.writeResponse();
    expect(test.lines()).toEqual(["endpoint web-endpoints"]);
  });

  it("says of a route configuration that does not exist that it is gone", () => {
    const test = streamWith(MESH);
    receiveRequest(test.state, request(`${TYPE}envoy.config.route.v3.RouteConfiguration`, { subscribe: ["unknown"] }));
    test.writeResponse();
    expect(test.lines()).toEqual(["-route unknown"]);
  });
});

describe("refusals (rule 6)", () => {
  it("takes the subscription that comes with a stale nonce", () => {
    const test = streamWith(MESH);
    receiveRequest(test.state, request(ENDPOINT, { subscribe: ["late-endpoints"], nonce: "stale" }));
    test.publish([...MESH, ...service("late")]);
    while (test.writeResponse());
    expect(test.lines()).toContain("endpoint late-endpoints");
  });

  it("narrows a refused response of several virtual hosts down to the culprit", () => {
    const names = ["a", "b", "c", "d", "e", "f", "g"];
    const services = names.flatMap((name) => service(name));
    const test = streamWith([...services, ...port("http", names)]);
    const changed = port("http", names).map((resource) =>
      resource.type === "virtualHost"
        ? testResource("virtualHost", resource.name, {
            clusters: [resource.name.slice(-1)],
            domains: resource.name.endsWith("g") ? ["*"] : [resource.name.slice(-1)],
            revision: "2",
            bad: resource.name.endsWith("/e"),
          })
        : resource,
    );
    test.publish([...services, ...changed]);
    test.settle();
    expect(test.refusals.map(({ resource, reason }) => [resource.name, reason])).toEqual([["http-routes/e", "bad: http-routes/e"]]);
    const revisions = [...(test.envoy.routes.get("http-routes")?.hosts ?? [])].map(([name, taken]) => `${name.slice(-1)}${taken.content.revision}`);
    expect(revisions.sort()).toEqual(["a2", "b2", "c2", "d2", "e1", "f2", "g2"]);
    // Once with the others, then alone: halves of 4, 2 and 1.
    expect(test.envoy.refused.filter((name) => name === "http-routes/e").length).toBeLessThanOrEqual(4);
  });

  it("finds several culprits in one response", () => {
    const names = ["a", "b", "c", "d"];
    const services = names.flatMap((name) => service(name));
    const test = new StreamUnderTest();
    const bad = (name: string) => host("http", name, { domains: [name === "d" ? "*" : name], bad: name === "a" || name === "c" });
    test.publish([...services, ...replaced(port("http", names), ...names.map(bad))]);
    test.settle();
    expect(test.refusals.map(({ resource }) => resource.name).sort()).toEqual(["http-routes/a", "http-routes/c"]);
    expect([...(test.envoy.routes.get("http-routes")?.hosts.keys() ?? [])].sort()).toEqual(["http-routes/b", "http-routes/d"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("never sends the culprit's bytes again, not even after a reconnect", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, host("http", "api", { revision: "2", bad: true })));
    test.settle();
    const refusedOnce = test.envoy.refused.length;
    test.connect();
    test.settle();
    expect(test.envoy.refused).toHaveLength(refusedOnce);
    expect(test.ackedRevision).toBeGreaterThan(1);
  });

  it("applies the good clusters beside a bad one, and reports the bad one", () => {
    const test = streamWith(MESH);
    const bad = testResource("cluster", "web", { endpoints: "web-endpoints", revision: "2", bad: true });
    test.publish(replaced(MESH, bad, ...service("api", "2")));
    test.settle();
    expect(test.refusals.map(({ resource }) => resource.name)).toEqual(["web"]);
    expect(test.envoy.clusters.get("web")?.active?.content.revision).toBe("1");
    expect(test.envoy.clusters.get("api")?.active?.content.revision).toBe("2");
    expect(test.envoy.complaints).toEqual([]);
  });

  it("moves a domain between hosts also where the response was cut in halves", () => {
    const test = streamWith(MESH);
    const moved = [host("http", "api", { domains: ["api", "shop"], revision: "2" }), host("http", "web", { domains: ["*", "api2"], revision: "2" })];
    test.publish(replaced(MESH, ...moved));
    test.settle();
    test.forget();
    // The domain `shop` moves to a host that is bad for another reason than the domain.
    const back = [host("http", "api", { domains: ["api"], revision: "3" }), host("http", "web", { domains: ["*", "shop"], revision: "3", bad: true })];
    test.publish(replaced(MESH, ...back));
    test.settle();
    expect(test.refusals.map(({ resource }) => resource.name)).toEqual(["http-routes/web"]);
    expect(test.envoy.routes.get("http-routes")?.hosts.get("http-routes/api")?.content.revision).toBe("3");
  });
});

describe("endpoints that are gone (rule 7)", () => {
  it("answers a subscription to unknown endpoints with an empty assignment, never with a removal", () => {
    const test = streamWith(MESH);
    receiveRequest(test.state, request(ENDPOINT, { subscribe: ["nobody-endpoints"] }));
    test.writeResponse();
    expect(test.sent.map(({ resources, removed }) => [resources.map(({ name }) => name), removed])).toEqual([[["nobody-endpoints"], []]]);
  });

  it("removes no endpoints when their cluster goes", () => {
    const test = streamWith([...MESH, ...service("old")]);
    test.publish(MESH);
    test.settleRemovals();
    expect(test.lines()).toEqual(["-cluster old"]);
  });
});

describe("virtual hosts by VHDS (rule 10)", () => {
  const admin = port("admin", ["api"]);

  it("pushes the hosts of a second route configuration only after its ACK", () => {
    const test = streamWith(MESH);
    test.publish([...MESH, ...admin]);
    while (test.takeRequest() || test.lines().at(-1) !== "route admin-routes") {
      test.writeResponse();
      if (test.lines().at(-1) !== "route admin-routes") test.deliverResponse();
    }
    while (test.writeResponse());
    expect(test.responsesOf("virtualHost")).toEqual([]);
    test.settle();
    expect(test.responsesOf("virtualHost")).toEqual([["admin-routes/api"]]);
    expect(test.envoy.routes.get("admin-routes")?.hosts.size).toBe(1);
  });

  it("removes all hosts of a route configuration that goes, by name, and sends them again when it comes back", () => {
    const test = streamWith([...MESH, ...admin]);
    test.publish(MESH);
    test.settle();
    expect(test.lines()).toEqual(["-listener admin", "-virtualHost admin-routes/api"]);
    test.forget();
    test.publish([...MESH, ...admin]);
    test.settle();
    expect(test.lines()).toEqual(["listener admin", "route admin-routes", "virtualHost admin-routes/api"]);
    expect(test.envoy.routes.get("admin-routes")?.hosts.size).toBe(1);
    test.connect();
    test.forget();
    test.settle();
    expect(test.sent).toEqual([]);
  });

  it("resends a route configuration without its hosts", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, testResource("route", "http-routes", { vhds: true, revision: "2" })));
    test.settle();
    expect(test.lines()).toEqual(["route http-routes"]);
    expect(test.envoy.routes.get("http-routes")?.hosts.size).toBe(2);
  });

  it("moves a domain between two hosts within one response", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, host("http", "api", { domains: ["*"] }), host("http", "web", { domains: ["web"] })));
    test.settle();
    expect(test.responsesOf("virtualHost")).toHaveLength(1);
    expect(test.envoy.refused).toEqual([]);
  });

  it("changes one host by that host alone", () => {
    const test = streamWith(MESH);
    test.publish(replaced(MESH, host("http", "api", { revision: "2" })));
    test.settle();
    expect(test.lines()).toEqual(["virtualHost http-routes/api"]);
  });
});
