import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Proxy } from "../control-plane/mesh/instance.ts";
import { type BootstrapOptions, bootstrapOf } from "./bootstrap.ts";
import { ensureEnvoy } from "./install.ts";

const proxy: Proxy = {
  id: "product-a-1.default",
  kind: "sidecar",
  namespace: "default",
  labels: { app: "product" },
  workload: "product-a",
  serviceAccount: "default",
  locality: { region: "ap-northeast-2", zone: "ap-northeast-2a", subzone: "" },
  inbound: [],
  outbound: [],
  gatewayPorts: [],
};
const options: BootstrapOptions = { admin: { address: "127.0.0.1", port: 0 }, xds: { address: "127.0.0.1", port: 15_010 } };

describe("bootstrap", () => {
  it("says who the proxy is and where it runs", () => {
    expect(bootstrapOf(proxy, options)).toMatchObject({
      node: { id: "product-a-1.default", cluster: "product-a.default", locality: { region: "ap-northeast-2", zone: "ap-northeast-2a" } },
    });
  });

  it("waits for the control plane for as long as it takes", () => {
    expect(bootstrapOf(proxy, options)).toMatchObject({
      dynamic_resources: { cds_config: { initial_fetch_timeout: "0s" }, lds_config: { initial_fetch_timeout: "0s" } },
    });
  });

  it("sends no metrics unless asked", () => {
    expect(bootstrapOf(proxy, options)).not.toHaveProperty("stats_sinks");
    expect(bootstrapOf(proxy, { ...options, metricsEveryMs: 5_000 })).toMatchObject({ stats_flush_interval: "5s", stats_sinks: [{}] });
  });

  it.each([
    ["without metrics", options],
    ["with metrics", { ...options, metricsEveryMs: 5_000 }],
  ])("is accepted by Envoy %s", async (_, tried) => {
    const folder = await mkdtemp(join(tmpdir(), "weft-bootstrap-"));
    const path = join(folder, "bootstrap.json");
    try {
      await writeFile(path, JSON.stringify(bootstrapOf(proxy, tried)));
      const { stderr } = await promisify(execFile)(await ensureEnvoy(), ["--mode", "validate", "-c", path, "-l", "warning", "--disable-hot-restart"]);
      expect(stderr).not.toMatch(/deprecated|\[critical\]|\[error\]/i);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
