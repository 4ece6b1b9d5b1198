// Virtual hosts that a proxy asks for one at a time, against the model of Envoy: automatic scope. envoy/e2e/automatic-scope.test.ts has the real one.
import { describe, expect, it } from "vitest";
import type { TranslatedResource } from "../translate/resource.ts";
import { testResource } from "./fake-envoy.ts";
import { StreamUnderTest } from "./stream-under-test.ts";

const ROUTE = "on-demand|80";
const PLACEHOLDER = testResource("virtualHost", `${ROUTE}/placeholder.invalid`, { domains: ["placeholder.invalid"] });
const BASE = [testResource("listener", "outbound", { routes: [ROUTE] }), testResource("route", ROUTE, { vhds: true }), PLACEHOLDER];

/** A host with its cluster and endpoints. */
function host(name: string, revision = "1"): readonly TranslatedResource[] {
  return [
    testResource("cluster", name, { endpoints: `${name}-endpoints`, revision }),
    testResource("endpoint", `${name}-endpoints`),
    testResource("virtualHost", `${ROUTE}/${name}`, { clusters: [name], domains: [name], revision }),
  ];
}

function streamWith(...hosts: readonly string[]): StreamUnderTest {
  const test = new StreamUnderTest();
  test.publish([...BASE, ...hosts.flatMap((name) => host(name))]);
  test.settle();
  expect(test.envoy.complaints).toEqual([]);
  test.forget();
  return test;
}

const namesOf = (test: StreamUnderTest): readonly string[] => [...(test.envoy.routes.get(ROUTE)?.hosts.keys() ?? [])].map((name) => name.split("/")[1] ?? "");

describe("a host that is called for the first time", () => {
  it("comes with its cluster and endpoints before it, and with nothing else", () => {
    const test = streamWith();
    test.envoy.call(ROUTE, "web");
    test.settle();
    expect(test.lines()).toEqual([]);
    test.publish([...BASE, ...host("web")]);
    test.settle();
    expect(test.lines()).toEqual(["cluster web", "endpoint web-endpoints", `virtualHost ${ROUTE}/web`]);
    expect([...test.envoy.waiting]).toEqual([]);
    expect(test.envoy.complaints).toEqual([]);
    expect(test.ackedRevision).toBe(2);
  });

  it("is not told to be gone while it is being translated", () => {
    const test = streamWith("web");
    test.envoy.call(ROUTE, "api");
    test.settle();
    test.publish([...BASE, ...host("web", "2")]);
    test.settle();
    expect(test.lines().filter((line) => line.startsWith("-"))).toEqual([]);
    expect([...test.envoy.waiting]).toEqual([`${ROUTE}/api`]);
  });

  it("is answered together with twenty others", () => {
    const test = streamWith();
    const names = Array.from({ length: 20 }, (_, index) => `host-${index}`);
    for (const name of names) test.envoy.call(ROUTE, name);
    test.settle();
    test.publish([...BASE, ...names.flatMap((name) => host(name))]);
    test.settle();
    expect([...test.envoy.waiting]).toEqual([]);
    expect(namesOf(test)).toEqual(["placeholder.invalid", ...names]);
    expect(test.envoy.complaints).toEqual([]);
  });
});

describe("a host that was called", () => {
  it("is there for a proxy that has just connected: a new replica of its workload", () => {
    expect(namesOf(streamWith("web", "api"))).toEqual(["placeholder.invalid", "web", "api"]);
  });

  it("is pushed when it changes", () => {
    const test = streamWith("web");
    test.envoy.call(ROUTE, "web");
    test.publish([...BASE, ...host("web", "2")]);
    test.settle();
    expect(test.lines()).toEqual(["cluster web", "endpoint web-endpoints", `virtualHost ${ROUTE}/web`]);
  });

  it("is not sent again on a new stream, though its name is asked for again", () => {
    const test = streamWith();
    test.envoy.call(ROUTE, "web");
    test.settle();
    test.publish([...BASE, ...host("web")]);
    test.settle();
    test.forget();
    test.restart();
    test.settle();
    expect(test.lines()).toEqual([]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("is not taken from a proxy that holds it without having asked, by a control plane that has forgotten it", () => {
    const test = streamWith("web");
    test.connect();
    test.publish(BASE);
    test.settle();
    test.publish([...BASE, ...host("web")]);
    test.settle();
    expect(test.lines().filter((line) => line.includes("virtualHost"))).toEqual([]);
    expect(namesOf(test)).toEqual(["placeholder.invalid", "web"]);
    expect(test.envoy.complaints).toEqual([]);
  });

  it("stays until a control plane that has forgotten it knows it again, and what was asked meanwhile is answered", () => {
    const test = streamWith();
    test.envoy.call(ROUTE, "web");
    test.settle();
    test.publish([...BASE, ...host("web")]);
    test.settle();
    test.connect();
    test.envoy.call(ROUTE, "api");
    test.publish([...BASE, ...host("web"), ...host("api")]);
    test.forget();
    test.settle();
    expect(test.lines()).toEqual(["cluster api", "endpoint api-endpoints", `virtualHost ${ROUTE}/api`]);
    expect([...test.envoy.waiting]).toEqual([]);
    expect(test.envoy.complaints).toEqual([]);
  });
});
