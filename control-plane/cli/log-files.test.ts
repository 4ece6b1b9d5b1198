import { describe, expect, it } from "vitest";
import type { PsRow } from "../local/api.ts";
import type { ReadyGateway, ReadyWorkload } from "../local/events.ts";
import { logFilesOf, logSources } from "./log-files.ts";

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
const ready = {
  folder: "/mesh",
  stateFolder: "/state",
  logs: "/state/logs",
  workloads: [workload("product"), workload("cart")],
  gateways: [gateway],
  controlPlane: { pid: 4, xds: "", admin: "", log: "cp.log" },
  elapsedMs: 1,
};
const stoppedRow: PsRow = {
  kind: "workload",
  workload: "stopped",
  namespace: "shop",
  instance: "stopped-1",
  zone: "",
  state: "stopped",
  pid: 0,
  address: "",
  restarts: 0,
  image: "",
  sidecar: { id: "", pid: 0, connected: false, upToDate: false },
};
const sources = logSources(ready, [stoppedRow]);

describe("the files of weft logs", () => {
  it.each([
    { target: undefined, kind: "output", paths: ["product.log", "cart.log", "/state/logs/stopped-1.shop.log"] },
    { target: undefined, kind: "envoy", paths: ["product.envoy.log", "cart.envoy.log", "/state/logs/stopped-1.shop.envoy.log", "gw.envoy.log"] },
    { target: "stopped", kind: "access", paths: ["/state/logs/stopped-1.shop.access.log"] },
    { target: "cart", kind: "output", paths: ["cart.log"] },
    { target: "cart", kind: "envoy", paths: ["cart.envoy.log"] },
    { target: "gateway", kind: "output", paths: ["gw.access.log"] },
    { target: "ingressgateway", kind: "envoy", paths: ["gw.envoy.log"] },
    { target: "control-plane", kind: "output", paths: ["cp.log"] },
  ] as const)("$target $kind", ({ target, kind, paths }) => {
    expect(logFilesOf(sources, target, kind).map(({ path }) => path)).toEqual(paths);
  });

  it("take a Deployment before Weft's own words", () => {
    expect(logFilesOf(logSources({ ...ready, workloads: [workload("gateway")] }, []), "gateway", "output").map(({ path }) => path)).toEqual(["gateway.log"]);
  });

  it.each([
    { target: "produkt", kind: "output", what: "no workload produkt in this mesh" },
    { target: "control-plane", kind: "envoy", what: "the control plane has no Envoy log" },
  ] as const)("$target $kind: $what", ({ target, kind, what }) => {
    expect(() => logFilesOf(sources, target, kind)).toThrow(what);
  });

  it("are none for a gateway where there is none", () => {
    expect(() => logFilesOf({ ...sources, gateways: [] }, "gateway", "output")).toThrow("this mesh has no gateway");
  });
});
