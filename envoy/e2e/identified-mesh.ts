// Real Envoys that call each other by mutual TLS, with an xDS server, an authority and tokens as in service, and resources made by hand: what identity is
// tested on, before and without translation.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type MeshIdentity, startMeshIdentity } from "../../control-plane/ca/mesh-identity.ts";
import { authorityPath, tokenKeyPath } from "../../control-plane/ca/paths.ts";
import { Cluster_DiscoveryType, ClusterSchema } from "../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ListenerSchema } from "../../control-plane/gen/envoy/config/listener/v3/listener_pb.js";
import { RouterSchema } from "../../control-plane/gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { HttpConnectionManagerSchema } from "../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { createProxyTokens, type ProxyTokens } from "../../control-plane/local/proxy-tokens.ts";
import type { Proxy } from "../../control-plane/mesh/instance.ts";
import { renewSecrets } from "../../control-plane/snapshot/secrets.ts";
import { buildSnapshot, type Snapshot } from "../../control-plane/snapshot/snapshot.ts";
import { freePort } from "../../control-plane/test/free-ports.ts";
import { refusePrivateKeys, refusePrivateKeysBelow } from "../../control-plane/test/private-keys.ts";
import { packAny } from "../../control-plane/translate/any.ts";
import type { TranslatedResource, XdsType } from "../../control-plane/translate/resource.ts";
import { downstreamMutualTls, upstreamMutualTls } from "../../control-plane/translate/transport-socket.ts";
import { systemClock } from "../../control-plane/xds/clock.ts";
import { startXdsServer, type XdsServer } from "../../control-plane/xds/server.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { ensureEnvoy } from "../install.ts";
import { until } from "./dynamic-envoy.ts";

/** One line of the control plane's log. */
export interface LogLine {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A control plane without files: what runs, and what each proxy holds, is said by the test. */
export class IdentifiedMesh {
  readonly log: LogLine[] = [];
  readonly folder: string;
  readonly tokens: ProxyTokens;
  private readonly lifetimeMs: number;
  private readonly proxies: readonly Proxy[];
  private readonly resources: ReadonlyMap<string, readonly TranslatedResource[]>;
  private readonly children = new Map<string, ChildProcess>();
  private server: XdsServer | undefined;
  private authority: MeshIdentity | undefined;
  private snapshot: Snapshot | undefined;
  private revision = Date.now();
  private port = 0;
  /** What all Envoys have logged. */
  envoyLog = "";

  constructor(folder: string, resources: ReadonlyMap<Proxy, readonly TranslatedResource[]>, lifetimeMs: number, tokenLifetimeMs?: number) {
    this.folder = folder;
    this.lifetimeMs = lifetimeMs;
    this.proxies = [...resources.keys()];
    this.resources = new Map([...resources].map(([proxy, own]) => [proxy.id, own]));
    this.tokens = createProxyTokens(folder, (text) => this.log.push({ message: text, fields: {} }), tokenLifetimeMs);
  }

  get xds(): XdsServer {
    if (this.server === undefined) throw new Error("the control plane does not run");
    return this.server;
  }

  get identity(): MeshIdentity {
    if (this.authority === undefined) throw new Error("the control plane does not run");
    return this.authority;
  }

  /** Starts, or starts again on the same port, knowing nothing but what is on disk. */
  async startControlPlane(external?: string): Promise<number> {
    const write = (fields: object, message: string): void => void this.log.push({ message, fields: { ...fields } });
    const logger = { info: write, warn: write, error: write };
    const identity = await startMeshIdentity({
      folder: this.folder,
      lifetimeMs: this.lifetimeMs,
      ...(external === undefined ? {} : { external }),
      logger,
      proxies: () => this.proxies,
      secretsHeld: (proxyId) => this.server?.secretsHeld(proxyId) ?? { connected: false, versions: undefined },
      onChange: (proxyIds) => {
        if (this.snapshot === undefined || this.authority === undefined) return;
        this.revision += 1;
        this.snapshot = renewSecrets(this.snapshot, proxyIds, this.authority.secretsOf, this.revision);
        this.server?.publish(this.snapshot);
      },
      onServerCertificate: (certificate) => this.server?.replaceCertificate(certificate),
    });
    this.authority = identity;
    this.server = await startXdsServer({
      host: "127.0.0.1",
      port: this.port,
      logger,
      clock: systemClock,
      ...identity.server,
      onState: () => undefined,
      onNack: ({ resource, reason }) => this.log.push({ message: "nack", fields: { name: resource.name, reason } }),
    });
    this.port = this.server.port;
    this.revision += 1;
    const proxies = new Map([...this.resources].map(([proxyId, resources]) => [proxyId, { proxyId, resources }]));
    this.snapshot = buildSnapshot({
      translation: { proxies, diagnostics: [] },
      quarantine: new Map(),
      accepted: new Map(),
      revision: this.revision,
      secretsOf: identity.secretsOf,
    });
    this.server.publish(this.snapshot);
    return this.port;
  }

  async stopControlPlane(): Promise<void> {
    await this.authority?.close();
    await this.server?.close();
    this.server = undefined;
  }

  /** Starts the Envoys of all proxies and waits until they hold everything. */
  async startEnvoys(): Promise<void> {
    await mkdir(join(this.folder, "envoy"), { recursive: true });
    const program = await ensureEnvoy();
    for (const proxy of this.proxies) {
      const identity = await this.tokens.prepare(proxy);
      const path = join(this.folder, "envoy", `${proxy.id}.json`);
      const bootstrap = bootstrapOf(proxy, { admin: { address: "127.0.0.1", port: 0 }, xds: { address: "127.0.0.1", port: this.port }, identity });
      await writeFile(path, JSON.stringify(bootstrap));
      const child = spawn(program, ["-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"], { stdio: ["ignore", "ignore", "pipe"] });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        this.envoyLog += text;
      });
      this.children.set(proxy.id, child);
    }
    await this.upToDate();
  }

  /** Waits until every Envoy has acknowledged everything. */
  async upToDate(): Promise<void> {
    await until("all Envoys are up to date", () => this.xds.state().every(({ upToDate }) => upToDate)).catch((error: Error) => {
      throw new Error(`${error.message}\n${JSON.stringify(this.xds.state())}\n${this.envoyLog}`);
    });
  }

  async close(): Promise<void> {
    this.tokens.close();
    await Promise.all(
      [...this.children.values()].map((child) => {
        const closed = new Promise((resolve) => child.once("close", resolve));
        child.kill("SIGKILL");
        return closed;
      }),
    );
    await this.stopControlPlane();
    refusePrivateKeys("what was logged", JSON.stringify(this.log) + this.envoyLog);
    const keyStores = [authorityPath(this.folder), tokenKeyPath(this.folder)];
    await refusePrivateKeysBelow(this.folder, (path) => keyStores.includes(join(this.folder, path)));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface CallerAndServer {
  readonly mesh: IdentifiedMesh;
  /** Where a plain request goes in at the caller's Envoy. */
  readonly callerPort: number;
  /** Where the server's Envoy takes mutual TLS. */
  readonly serverPort: number;
  readonly caller: Proxy;
  readonly server: Proxy;
}

/** A proxy of this service account. */
export function proxyNamed(id: string, serviceAccount: string): Proxy {
  const locality = { region: "", zone: "", subzone: "" };
  const names = { id, workload: id, namespace: "default", serviceAccount };
  return { ...names, kind: "sidecar", labels: {}, locality, inbound: [], outbound: [], gatewayPorts: [] };
}

/**
 * An Envoy that calls another one by mutual TLS. The control plane is started and the Envoys are up to date. `expects`: the service account that the caller
 * expects of the server, whose own is `reviews`.
 */
export async function startCallerAndServer(
  options: { readonly lifetimeMs?: number; readonly tokenLifetimeMs?: number; readonly expects?: string; readonly reuseConnections?: boolean } = {},
): Promise<CallerAndServer> {
  const { lifetimeMs = 86_400_000, tokenLifetimeMs, expects = "reviews", reuseConnections = true } = options;
  const [callerPort, serverPort] = [await freePort(), await freePort()];
  const [caller, server] = [proxyNamed("caller-1.default", "product"), proxyNamed("server-1.default", "reviews")];
  const resources = new Map([
    [caller, [listener("in", callerPort, "server"), clusterTo("server", serverPort, `spiffe://cluster.local/ns/default/sa/${expects}`, reuseConnections)]],
    // Envoy waits for a first cluster before it asks for listeners.
    [server, [listener("in", serverPort), clusterTo("itself", serverPort, "spiffe://cluster.local/ns/default/sa/reviews", true)]],
  ]);
  const folder = await mkdtemp(join(tmpdir(), "weft-identity-"));
  const mesh = new IdentifiedMesh(folder, resources, lifetimeMs, tokenLifetimeMs);
  try {
    await mesh.startControlPlane();
    await mesh.startEnvoys();
  } catch (error) {
    await mesh.close();
    throw error;
  }
  return { mesh, callerPort, serverPort, caller, server };
}

function resource<Desc extends DescMessage>(type: XdsType, name: string, schema: Desc, init: MessageInitShape<Desc>): TranslatedResource {
  return { type, name, body: toBinary(schema, create(schema, init)), origins: [], needs: [] };
}

function socketAddress(port: number) {
  return { address: { case: "socketAddress", value: { address: "127.0.0.1", portSpecifier: { case: "portValue", value: port } } } } as const;
}

/** Forwards to a cluster; without one it takes mutual TLS and answers with the caller's SPIFFE id. */
function listener(name: string, port: number, cluster?: string): TranslatedResource {
  const answer = { case: "directResponse", value: { status: 200, body: { specifier: { case: "inlineString", value: "%DOWNSTREAM_PEER_URI_SAN%" } } } } as const;
  const forward = { case: "route", value: { clusterSpecifier: { case: "cluster", value: cluster ?? "" } } } as const;
  const peer = { header: { key: "x-peer", value: "%DOWNSTREAM_PEER_URI_SAN%" } };
  const route = { match: { pathSpecifier: { case: "prefix", value: "/" } }, action: cluster === undefined ? answer : forward } as const;
  const manager = packAny(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: {
      case: "routeConfig",
      value: { virtualHosts: [{ name, domains: ["*"], routes: [route], responseHeadersToAdd: cluster === undefined ? [peer] : [] }] },
    },
    httpFilters: [{ name: "router", configType: { case: "typedConfig", value: packAny(RouterSchema) } }],
  });
  const filters = [{ name: "http", configType: { case: "typedConfig", value: manager } as const }];
  const chain = cluster === undefined ? { filters, transportSocket: downstreamMutualTls({ trustDomains: ["cluster.local"], protocol: "http" }) } : { filters };
  return resource("listener", name, ListenerSchema, { name, address: socketAddress(port), filterChains: [chain] });
}

/** Without reuse every request is a handshake. */
function clusterTo(name: string, port: number, spiffeId: string, reuse: boolean): TranslatedResource {
  const endpoint = { hostIdentifier: { case: "endpoint", value: { address: socketAddress(port) } } } as const;
  return resource("cluster", name, ClusterSchema, {
    name,
    connectTimeout: { seconds: 2n },
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [endpoint] }] },
    ...(reuse ? {} : { maxRequestsPerConnection: 1 }),
    transportSocket: upstreamMutualTls({ key: { port, subset: "", hostname: name }, protocol: "http", spiffeIds: [spiffeId] }),
  });
}
