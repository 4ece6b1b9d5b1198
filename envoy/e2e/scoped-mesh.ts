// A mesh of many services and one calling workload whose Envoys get their configuration from the whole control plane, in one process and without a runner:
// for tests of automatic scope.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { type ControlPlane, startControlPlane } from "../../control-plane/control-plane.ts";
import type { Instance, ListenAddress, Proxy } from "../../control-plane/mesh/instance.ts";
import { calledNamesFile } from "../../control-plane/source/called-names-file.ts";
import { lastGoodFile } from "../../control-plane/source/last-good-file.ts";
import { buildFilter } from "../../filter/build.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { ensureEnvoy } from "../install.ts";
import { until } from "./dynamic-envoy.ts";

/** Who answers: every service is at a loopback address of its own, and the upstream says at which one it was called. */
export interface Upstream {
  readonly port: number;
  readonly close: () => Promise<void>;
}

export interface ScopedMesh {
  /** Replaces the whole YAML; resolves when every Envoy has taken it. */
  readonly publish: (yaml: string) => Promise<void>;
  /** Starts another copy of the caller. Resolves when it serves. */
  readonly addCaller: () => Promise<Caller>;
  readonly callers: readonly Caller[];
  /** As a control plane that is killed and started again; `forget`: without what it had kept of what was called. */
  readonly stopControlPlane: () => Promise<void>;
  readonly startControlPlane: (options?: { readonly forget?: boolean }) => Promise<void>;
  /** Resolves when every Envoy is connected and has taken everything. */
  readonly settled: () => Promise<void>;
  readonly refusals: () => readonly string[];
  readonly resourcesSent: () => number;
  readonly bytesSent: () => number;
  readonly close: () => Promise<void>;
}

export interface Caller {
  /** The HTTP proxy port. */
  readonly proxy: ListenAddress;
  readonly explain: ListenAddress;
  readonly pid: number;
  readonly admin: (path: string) => Promise<string>;
}

export const WAIT_MS = 60_000;

/** Starts a server that answers at every loopback address: `{"at": "1.7", "host": "web", "method": "GET", "body": ""}`. */
export async function startUpstream(): Promise<Upstream> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((request, response) => {
    void bodyOf(request).then(async (body) => {
      const [, afterMs] = /^\/after\/(\d+)/.exec(request.url ?? "") ?? [];
      if (afterMs !== undefined) await new Promise((resolve) => setTimeout(resolve, Number(afterMs)));
      response.end(JSON.stringify({ at: placeOf(request), host: request.headers.host, method: request.method, url: request.url, body }));
    });
  });
  server.on("upgrade", (request, socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nx-at: ${placeOf(request)}\r\n\r\n`);
    socket.on("error", () => undefined).on("data", (bytes: Buffer) => socket.end(`heard ${bytes.toString()}`));
  });
  server.on("connection", (socket: Socket) => sockets.add(socket.once("close", () => sockets.delete(socket))));
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** The last two parts of the address: meshes of other networks have the same. */
function placeOf({ socket }: IncomingMessage): string {
  return (socket.localAddress ?? "").split(".").slice(2).join(".");
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Where the endpoint of the service with this number is. */
function serviceAddress(network: string, index: number): string {
  return `${network}.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`;
}

/** The YAML of a service by its number. */
export function serviceYaml(name: string, ports = "[{name: http, port: 80}]"): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: ${name}}, ports: ${ports}}\n`;
}

/** Starts the control plane, and one copy of the caller. `names`: workloads that run, each at an address of its own on `network` (`127.9`). */
export async function startScopedMesh(options: {
  readonly yaml: string;
  readonly names: readonly string[];
  readonly network: string;
  readonly upstream: Upstream;
  readonly endpointsEach?: number;
}): Promise<ScopedMesh> {
  const { network, upstream, names, endpointsEach = 1 } = options;
  const folder = await mkdtemp(join(tmpdir(), "weft-scope-"));
  const wasm = await readFile((await buildFilter()).path);
  const program = await ensureEnvoy();
  const instances = names.flatMap((name, index) =>
    Array.from({ length: endpointsEach }, (_, copy) => instanceOf(name, copy, serviceAddress(network, index * endpointsEach + copy), upstream.port)),
  );
  const children: ChildProcess[] = [];
  const callers: Caller[] = [];
  const proxies: Proxy[] = [];
  let yaml = options.yaml;
  let change: (texts: ReadonlyMap<string, string>) => void = () => undefined;
  let controlPlane: ControlPlane | undefined;
  let [xdsPort, revision, sequence, published] = [0, 0, 0, 0];
  const refused: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line: string) => void (line.includes("refused a resource") && refused.push(line)) });

  const start = async ({ forget = false } = {}): Promise<void> => {
    if (forget) await rm(join(folder, "called.json"), { force: true });
    controlPlane = await startControlPlane({
      openSource: async ({ onChange }) => {
        change = (texts) => onChange(texts, ["mesh.yaml"], Date.now());
        return { files: new Map([["mesh.yaml", yaml]]), close: async () => undefined };
      },
      lastGood: lastGoodFile(join(folder, "last-good.json")),
      called: calledNamesFile(join(folder, "called.json")),
      xdsPort,
      identity: "plaintext",
      wasm,
      logger,
      events: {
        onListening: (ports) => {
          xdsPort = ports.xdsPort;
        },
        onPublished: (publication) => {
          revision = publication.revision;
          published = publication.sequence;
        },
        onProxies: () => undefined,
      },
    });
    run();
  };
  const run = (): void => {
    sequence += 1;
    controlPlane?.setRunning({ sequence, instances, proxies });
  };
  const settled = async (): Promise<void> => {
    await until(
      "every Envoy is up to date",
      () => {
        const states = controlPlane?.proxies() ?? [];
        return (
          published === sequence && states.length === proxies.length && states.every(({ upToDate, ackedRevision }) => upToDate && ackedRevision >= revision)
        );
      },
      WAIT_MS,
    );
  };
  const addCaller = async (): Promise<Caller> => {
    const number = proxies.length + 1;
    const address = `${network}.250.${number}`;
    const proxy: Proxy = {
      id: `caller-${number}.default`,
      kind: "sidecar",
      namespace: "default",
      labels: { app: "caller" },
      workload: "caller",
      serviceAccount: "default",
      locality: { region: "r", zone: "a", subzone: "" },
      inbound: [],
      outbound: [],
      gatewayPorts: [],
      httpProxy: { address, port: 15_001, explainPort: 15_002 },
    };
    proxies.push(proxy);
    run();
    const adminPath = join(folder, `admin-${number}`);
    const configPath = join(folder, `${number}.json`);
    const bootstrap = bootstrapOf(proxy, { admin: { address: "127.0.0.1", port: 0 }, xds: { address: "127.0.0.1", port: xdsPort } });
    await writeFile(configPath, JSON.stringify(bootstrap));
    const args = ["-c", configPath, "--admin-address-path", adminPath, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"];
    const child = spawn(program, args, { stdio: ["ignore", "ignore", process.env.WEFT_TEST_ENVOY_LOG === undefined ? "ignore" : "inherit"] });
    children.push(child);
    await settled();
    const admin = await readFile(adminPath, "utf8");
    const caller: Caller = {
      proxy: { address, port: 15_001 },
      explain: { address, port: 15_002 },
      pid: child.pid ?? 0,
      admin: async (path) =>
        (
          await fetch(`http://${admin}${path}`, { method: path.startsWith("/stats") || path.startsWith("/config") || path === "/memory" ? "GET" : "POST" })
        ).text(),
    };
    callers.push(caller);
    return caller;
  };
  const close = async (): Promise<void> => {
    await Promise.all(
      children.map(
        (child) =>
          new Promise<void>((resolve) => {
            child.once("close", () => resolve());
            child.kill("SIGKILL");
          }),
      ),
    );
    await controlPlane?.close();
    await rm(folder, { recursive: true, force: true });
  };

  try {
    await start();
    await addCaller();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    publish: async (next) => {
      const former = revision;
      yaml = next;
      change(new Map([["mesh.yaml", yaml]]));
      await until("the change is published", () => revision !== former, WAIT_MS);
      await settled();
    },
    addCaller,
    callers,
    stopControlPlane: async () => {
      await controlPlane?.close();
      controlPlane = undefined;
    },
    startControlPlane: start,
    settled,
    refusals: () => refused,
    resourcesSent: () => (controlPlane?.proxies() ?? []).reduce((sum, { resourcesSent }) => sum + resourcesSent, 0),
    bytesSent: () => (controlPlane?.proxies() ?? []).reduce((sum, { bytesSent }) => sum + bytesSent, 0),
    close,
  };
}

function instanceOf(workload: string, copy: number, address: string, port: number): Instance {
  return {
    name: `${workload}-${copy + 1}`,
    namespace: "default",
    workload,
    labels: { app: workload, version: copy % 2 === 0 ? "v1" : "v2" },
    serviceAccount: "default",
    locality: { region: "r", zone: "abc"[copy % 3] ?? "a", subzone: "" },
    address,
    // Whatever port a Service asks for, the upstream is behind it.
    ports: [80, 8080, 9090].map((containerPort) => ({ containerPort, boundPort: port })),
    ready: true,
    hasSidecar: false,
  };
}
