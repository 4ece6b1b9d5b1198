// A real Envoy that gets everything but its bootstrap by delta ADS, and the real xDS server beside it.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { EMPTY_QUARANTINE, type Quarantine, quarantined, type Refusal } from "../../control-plane/snapshot/quarantine.ts";
import { buildSnapshot, type Snapshot } from "../../control-plane/snapshot/snapshot.ts";
import type { TranslatedResource } from "../../control-plane/translate/resource.ts";
import { systemClock } from "../../control-plane/xds/clock.ts";
import type { ProxyReport } from "../../control-plane/xds/proxy-state.ts";
import { startXdsServer, type XdsServer } from "../../control-plane/xds/server.ts";
import { ensureEnvoy } from "../install.ts";
import { metricsSink, STATS_FLUSH_INTERVAL_MS } from "../metrics-sink.ts";
import type { Answer } from "./static-envoy.ts";

export const PROXY_ID = "sidecar~test";

/** Awaits a condition. Rejects, naming it, when it does not come about. */
export async function until<Value>(what: string, ask: () => Value | Promise<Value>, timeoutMs = 20_000): Promise<NonNullable<Value>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** One request. */
export function get(port: number, host = "web", headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, agent: false, headers: { host, ...headers } }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body })).once("error", reject);
    });
    outgoing.once("error", reject).end();
  });
}

/** Status of one request; 0 where the connection is refused. */
export async function statusOf(port: number, host = "web"): Promise<number> {
  return (await get(port, host).catch(() => undefined))?.status ?? 0;
}

/** The xDS server with the few lines of a control plane around it. */
export class TestControlPlane {
  readonly refusals: Refusal[] = [];
  readonly deaths: number[] = [];
  private server: XdsServer | undefined;
  private snapshot: Snapshot | undefined;
  private quarantine: Quarantine = EMPTY_QUARANTINE;
  private resources: readonly TranslatedResource[] = [];
  private revision = Date.now();
  private port = 0;
  private readonly removalDelayMs: number;

  constructor(removalDelayMs: number) {
    this.removalDelayMs = removalDelayMs;
  }

  /** Starts, or starts again on the same port, knowing nothing of before. Returns the port. */
  async start(): Promise<number> {
    this.snapshot = undefined;
    this.server = await startXdsServer({
      host: "127.0.0.1",
      port: this.port,
      plaintext: true,
      logger: pino({ level: process.env.WEFT_TEST_LOG ?? "silent" }),
      clock: systemClock,
      onState: () => undefined,
      onNack: (refusal) => {
        this.refusals.push(refusal);
        this.quarantine = quarantined(this.quarantine, refusal);
        this.publish(this.resources);
      },
      onFilterDead: (_, deaths) => this.deaths.push(deaths),
    });
    this.port = this.server.port;
    return this.port;
  }

  async stop(): Promise<void> {
    await this.server?.close();
  }

  publish(resources: readonly TranslatedResource[]): void {
    this.resources = resources;
    this.revision += 1;
    this.snapshot = buildSnapshot({
      previous: this.snapshot,
      translation: { proxies: new Map([[PROXY_ID, { proxyId: PROXY_ID, resources }]]), diagnostics: [] },
      quarantine: this.quarantine,
      accepted: this.server?.accepted() ?? new Map(),
      revision: this.revision,
      removalDelayMs: this.removalDelayMs,
    });
    this.quarantine = this.snapshot.quarantine;
    this.server?.publish(this.snapshot);
  }

  /** Publishes, and waits until Envoy holds it all. */
  async apply(resources: readonly TranslatedResource[]): Promise<void> {
    this.publish(resources);
    await this.upToDate();
  }

  async upToDate(): Promise<ProxyReport> {
    return until("the proxy is up to date", () => (this.report()?.upToDate === true ? this.report() : undefined));
  }

  report(): ProxyReport | undefined {
    return this.server?.state()[0];
  }
}

/** A running Envoy. */
export interface DynamicEnvoy {
  /** The text of an admin path. */
  admin(path: string): Promise<string>;
  log(): string;
  close(): Promise<void>;
}

/** Starts Envoy with its configuration from this port. */
export async function startDynamicEnvoy(xdsPort: number, concurrency = 1): Promise<DynamicEnvoy> {
  const folder = await mkdtemp(join(tmpdir(), "weft-xds-"));
  const adminPath = join(folder, "admin");
  const configPath = join(folder, "envoy.json");
  await writeFile(configPath, JSON.stringify(bootstrap(xdsPort)));
  const args = ["-c", configPath, "--admin-address-path", adminPath, "--concurrency", `${concurrency}`, "--use-dynamic-base-id", "-l", "warning"];
  const child = spawn(await ensureEnvoy(), args, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const address = await until("Envoy's admin port", () => {
    if (child.exitCode !== null) throw new Error(`Envoy ended\n${log}`);
    return readFile(adminPath, "utf8")
      .then((text) => text || undefined)
      .catch(() => undefined);
  }).catch(async (error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return {
    admin: async (path) => (await fetch(`http://${address}${path}`)).text(),
    log: () => log,
    close: async () => {
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function bootstrap(xdsPort: number): object {
  const http2 = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  };
  const endpoint = { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: xdsPort } } } };
  const xds = {
    name: "xds",
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
    load_assignment: { cluster_name: "xds", endpoints: [{ lb_endpoints: [endpoint] }] },
  };
  const byAds = { ads: {}, resource_api_version: "V3" };
  const retry = { base_interval: "0.05s", max_interval: "0.2s" };
  return {
    node: { id: PROXY_ID, cluster: "test" },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    ...metricsSink("xds", STATS_FLUSH_INTERVAL_MS, PROXY_ID),
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds", retry_policy: { retry_back_off: retry } } }],
      },
      cds_config: byAds,
      lds_config: byAds,
    },
    static_resources: { clusters: [xds] },
  };
}
