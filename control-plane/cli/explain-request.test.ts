import { describe, expect, it } from "vitest";
import type { ReadyGateway, ReadyWorkload } from "../local/events.ts";
import { chooseListener, findAsker, parseRequest } from "./explain-request.ts";

function workload(name: string, ordinal: number, zone: string): ReadyWorkload {
  return {
    workload: name,
    namespace: "default",
    instance: `${name}-${ordinal}`,
    zone,
    address: `127.80.0.${ordinal}`,
    pid: 1,
    url: `http://127.80.0.${ordinal}:9090`,
    log: "/logs/app.log",
    accessLog: "/logs/access.log",
    sidecar: { id: `sidecar-${name}-${ordinal}`, pid: 2, admin: `http://127.80.0.${ordinal}:15000`, log: "/logs/envoy.log" },
    httpProxy: `http://127.80.0.${ordinal}:15001`,
    services: {
      "order-history.default.svc.cluster.local:9090": "http://127.80.1.1:9090",
      "color.paint.svc.cluster.local:80": "http://127.80.1.2:8080",
      "color.paint.svc.cluster.local:81": "http://127.80.1.2:8081",
    },
    explain: {
      "order-history.default.svc.cluster.local:9090": "http://127.80.1.1:15010",
      "color.paint.svc.cluster.local:80": "http://127.80.1.2:15011",
      "color.paint.svc.cluster.local:81": "http://127.80.1.2:15012",
      "http-proxy": `http://127.80.0.${ordinal}:15009`,
    },
  };
}

const gateway: ReadyGateway = {
  name: "istio=ingressgateway",
  namespace: "default",
  id: "gateway",
  pid: 3,
  admin: "http://127.80.2.1:15000",
  log: "/logs/gateway.log",
  accessLog: "/logs/gateway-access.log",
  ports: [
    { number: 80, url: "http://127.0.0.1:8080", explain: "http://127.0.0.1:15020" },
    { number: 8080, url: "http://127.0.0.1:8081", explain: "http://127.0.0.1:15021" },
  ],
};

const ready = { workloads: [workload("product", 1, "ap-2a"), workload("product", 2, "ap-2b")], gateways: [gateway] };

const known = [...ready.workloads, { workload: "cart", namespace: "default", instance: "cart-1", zone: "" }];

const listenerFor = (from: string, url: string) => chooseListener(findAsker(ready, known, from, undefined), parseRequest("GET", url, []));

describe("the request of an explain", () => {
  it.each([
    { url: "http://order-history:9090/x?a=b#c", authority: "order-history:9090", hostname: "order-history", port: 9090, path: "/x?a=b" },
    { url: "http://Color.Paint/", authority: "Color.Paint", hostname: "color.paint", port: 80, path: "/" },
    {
      url: "http://color.paint.svc.cluster.local.",
      authority: "color.paint.svc.cluster.local.",
      hostname: "color.paint.svc.cluster.local",
      port: 80,
      path: "/",
    },
    { url: "https://secure?q", authority: "secure", hostname: "secure", port: 443, path: "/?q" },
    { url: "http://a//b/../c", authority: "a", hostname: "a", port: 80, path: "//b/../c" },
    { url: "http://a/라", authority: "a", hostname: "a", port: 80, path: "/%EB%9D%BC" },
  ])("reads $url", ({ url, ...expected }) => {
    expect(parseRequest("get", url, [])).toMatchObject({ method: "GET", ...expected });
  });

  it.each([
    { method: "http://order-history/", url: "GET", next: "Write the method first: GET http://order-history/" },
    { method: "GET", url: "order-history:9090/x", next: "Write it in full: http://SERVICE:PORT/PATH" },
    { method: "G T", url: "http://a/", next: "Write one such as GET or POST" },
    { method: "CONNECT", url: "http://a/", next: expect.any(String) },
  ])("refuses $method $url", ({ method, url, next }) => {
    expect(() => parseRequest(method, url, [])).toThrow(expect.objectContaining({ next, exitCode: 2 }));
  });
});

describe("who is asked", () => {
  it.each([
    { from: "product@b", name: "product-2", notes: [] },
    { from: "product-2", name: "product-2", notes: [] },
    { from: "ingressgateway", name: "istio=ingressgateway", notes: [] },
    { from: "gateway", name: "istio=ingressgateway", notes: [] },
  ])("$from is $name", ({ from, name, notes }) => {
    expect(findAsker(ready, known, from, undefined)).toMatchObject({ name, notes });
  });

  it("is the first copy where there are several, which is said", () => {
    expect(findAsker(ready, known, "product", undefined)).toMatchObject({ name: "product-1", notes: [expect.stringContaining("--from product-2")] });
  });

  it("is nobody where the workload is stopped", () => {
    expect(() => findAsker(ready, known, "cart", undefined)).toThrow(
      expect.objectContaining({ message: "no copy of cart runs", next: expect.stringContaining("weft start cart") }),
    );
  });

  it("is nobody where the mesh has no gateway", () => {
    expect(() => findAsker({ ...ready, gateways: [] }, known, "ingressgateway", undefined)).toThrow("this mesh has no ingressgateway");
  });
});

describe("the listener that is asked", () => {
  it.each([
    { from: "product@a", url: "http://order-history:9090/", explain: "http://127.80.1.1:15010" },
    { from: "product@a", url: "http://order-history.default:9090/", explain: "http://127.80.1.1:15010" },
    { from: "product@a", url: "http://color.paint/", explain: "http://127.80.1.2:15011" },
    { from: "product@a", url: "http://color.paint.svc:81/", explain: "http://127.80.1.2:15012" },
    { from: "product@a", url: "http://color.paint.svc.cluster.local/", explain: "http://127.80.1.2:15011" },
    { from: "product@a", url: "http://127.80.1.2:8080/color", explain: "http://127.80.1.2:15011" },
    { from: "ingressgateway", url: "http://shop.example.com/", explain: "http://127.0.0.1:15020" },
    { from: "ingressgateway", url: "http://localhost:8080/", explain: "http://127.0.0.1:15020" },
    { from: "ingressgateway", url: "http://shop.example.com:8080/", explain: "http://127.0.0.1:15021" },
  ])("is the one that takes $url from $from", ({ from, url, explain }) => {
    expect(listenerFor(from, url)).toMatchObject({ explain, notes: [] });
  });

  it.each(["http://nowhere.example/x", "http://color/", "http://order-histroy:9090/"])("is the HTTP proxy port for %s, which is no service", (url) => {
    expect(listenerFor("product@a", url)).toMatchObject({ explain: "http://127.80.0.1:15009", notes: [expect.stringContaining("is no service of this mesh")] });
  });

  it("comes with the name that was probably meant", () => {
    expect(listenerFor("product@a", "http://order-histroy:9090/").notes[0]).toMatch(/Did you mean order-history/);
  });

  it.each([
    { from: "product@a", url: "http://order-history/x", what: "order-history has no port 80", next: "It has 9090: write http://order-history:9090/x" },
    {
      from: "ingressgateway",
      url: "http://a:81/",
      what: "the gateway istio=ingressgateway has no port 81",
      next: expect.stringContaining("80 (http://127.0.0.1:8080)"),
    },
  ])("is none: $what", ({ from, url, what, next }) => {
    expect(() => listenerFor(from, url)).toThrow(expect.objectContaining({ message: what, next }));
  });
});
