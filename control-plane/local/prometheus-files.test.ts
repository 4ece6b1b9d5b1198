import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import type { ReadyGateway, ReadyWorkload } from "./events.ts";
import { createPrometheusFiles, prometheusTargets } from "./prometheus-files.ts";

const workload: ReadyWorkload = {
  workload: "product-a",
  namespace: "shop",
  instance: "product-a-1",
  zone: "",
  address: "127.9.0.2",
  pid: 1,
  url: "",
  log: "",
  accessLog: "",
  sidecar: { id: "product-a-1.shop", pid: 2, admin: "http://127.9.0.2:15000", log: "" },
  httpProxy: "",
  services: {},
  explain: {},
};
const stub: ReadyWorkload = { ...workload, sidecar: { id: "", pid: 0, admin: "", log: "" } };
const gateway: ReadyGateway = {
  name: "istio=ingressgateway",
  namespace: "weft-system",
  id: "istio-ingressgateway.weft-system",
  pid: 3,
  admin: "http://127.9.0.3:15000",
  log: "",
  accessLog: "",
  ports: [],
};
const controlPlane = { pid: 4, xds: "", admin: "http://127.0.0.1:4000", log: "" };

const folder = await mkdtemp(join(tmpdir(), "weft-prometheus-"));
afterAll(() => rm(folder, { recursive: true }));

it("asks proxies for what counts traffic, and the control plane for all of its own", () => {
  const traffic = { __metrics_path__: "/stats/prometheus", __param_filter: "^istio\\." };
  expect(prometheusTargets({ workloads: [workload, stub], gateways: [gateway], controlPlane })).toEqual([
    { targets: ["127.9.0.2:15000"], labels: { ...traffic, instance: "product-a-1.shop", namespace: "shop" } },
    { targets: ["127.9.0.3:15000"], labels: { ...traffic, instance: "istio-ingressgateway.weft-system", namespace: "weft-system" } },
    { targets: ["127.0.0.1:4000"], labels: { __metrics_path__: "/metrics", instance: "weft-control-plane" } },
  ]);
});

it("writes the targets that stand when they change, however fast that is", async () => {
  let workloads: readonly ReadyWorkload[] = [workload];
  const files = createPrometheusFiles(
    folder,
    () => ({ workloads, gateways: [], controlPlane }),
    (error) => expect.unreachable(error.message),
  );
  files.update();
  files.update();
  workloads = [];
  files.update();
  const targets = async (): Promise<unknown> => JSON.parse(await readFile(join(folder, "prometheus-targets.json"), "utf8"));
  await vi.waitFor(async () => expect(await targets()).toHaveLength(1));
  expect(await readFile(join(folder, "prometheus.yml"), "utf8")).toContain("files: [prometheus-targets.json]");
});

it("says what it cannot write", async () => {
  const errors: Error[] = [];
  const files = createPrometheusFiles(
    join(folder, "gone"),
    () => ({ workloads: [], gateways: [], controlPlane }),
    (error) => errors.push(error),
  );
  files.update();
  await vi.waitFor(() => expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining("ENOENT")]));
});
