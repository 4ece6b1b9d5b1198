import { describe, expect, it } from "vitest";
import type { ReadyGateway, ReadyWorkload } from "../local/events.ts";
import { logFilesOf } from "./log-files.ts";

const workload = (name: string): ReadyWorkload => ({
  workload: name,
  namespace: "default",
  instance: `${name}-1`,
  zone: "",
  address: "127.80.0.1",
  pid: 1,
  url: "",
  log: `${name}.log`,
  accessLog: `${name}.access.log`,
  sidecar: { id: "", pid: 2, admin: "", log: `${name}.envoy.log` },
  httpProxy: "",
  services: {},
  explain: {},
});
const gateway: ReadyGateway = {
  name: "istio=ingressgateway",
  namespace: "default",
  id: "",
  pid: 3,
  admin: "",
  log: "gw.envoy.log",
  accessLog: "gw.access.log",
  ports: [],
};
const ready = { workloads: [workload("product"), workload("cart")], gateways: [gateway], controlPlane: { pid: 4, xds: "", admin: "", log: "cp.log" } };

describe("the files of weft logs", () => {
  it.each([
    { target: undefined, kind: "output", paths: ["product.log", "cart.log"] },
    { target: undefined, kind: "access", paths: ["product.access.log", "cart.access.log", "gw.access.log"] },
    { target: "cart", kind: "output", paths: ["cart.log"] },
    { target: "cart", kind: "envoy", paths: ["cart.envoy.log"] },
    { target: "gateway", kind: "output", paths: ["gw.access.log"] },
    { target: "ingressgateway", kind: "envoy", paths: ["gw.envoy.log"] },
    { target: "control-plane", kind: "output", paths: ["cp.log"] },
  ] as const)("$target $kind", ({ target, kind, paths }) => {
    expect(logFilesOf(ready, target, kind).map(({ path }) => path)).toEqual(paths);
  });

  it("take a Deployment before Weft's own words", () => {
    expect(logFilesOf({ ...ready, workloads: [workload("gateway")] }, "gateway", "output").map(({ path }) => path)).toEqual(["gateway.log"]);
  });

  it.each([
    { target: "produkt", kind: "output", what: "no workload produkt in this mesh" },
    { target: "control-plane", kind: "envoy", what: "the control plane has no Envoy log" },
  ] as const)("$target $kind: $what", ({ target, kind, what }) => {
    expect(() => logFilesOf(ready, target, kind)).toThrow(what);
  });

  it("are none for a gateway where there is none", () => {
    expect(() => logFilesOf({ ...ready, gateways: [] }, "gateway", "output")).toThrow("this mesh has no gateway");
  });
});
