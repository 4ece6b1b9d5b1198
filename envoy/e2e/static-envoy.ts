// A real Envoy with a fixed configuration, and upstreams that say who they are: for tests of what Envoy and the filter do without a control plane.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { ensureEnvoy } from "../install.ts";

/** A response, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An HTTP server whose every answer is its name in `x-upstream`, and the request's headers as JSON. */
export interface NamedUpstream {
  readonly name: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A running Envoy. */
export interface StaticEnvoy {
  readonly pid: number;
  /** Where a listener of the configuration is bound. Throws where there is none of that name. */
  url(listener: string): string;
  /** Sends one request to a listener of the configuration. */
  get(listener: string, path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Value of a statistic, or undefined where Envoy has none of that name. */
  stat(name: string): Promise<number | undefined>;
  /** What Envoy has logged so far. */
  log(): string;
  close(): Promise<void>;
}

const listenerStatuses = z.object({
  listener_statuses: z.array(z.object({ name: z.string(), local_address: z.object({ socket_address: z.object({ port_value: z.number() }) }) })),
});

/** Starts an upstream on a port of the system's choice. */
export async function startNamedUpstream(name: string): Promise<NamedUpstream> {
  const server = createServer((incoming, outgoing) => {
    outgoing.writeHead(200, { "x-upstream": name, "content-type": "application/json" }).end(JSON.stringify(incoming.headers));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream has no port");
  return {
    name,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A cluster in front of an upstream. */
export function clusterOf(upstream: NamedUpstream): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: upstream.port } };
  return { name: upstream.name, type: "STATIC", load_assignment: { cluster_name: upstream.name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] } };
}

/**
 * Starts Envoy with one worker. Listeners are to use port 0, the admin port is the system's choice too. `runtime` sets runtime keys.
 * Rejects with Envoy's log when it refuses the configuration.
 */
export async function startStaticEnvoy(staticResources: object, node: object, runtime: Readonly<Record<string, number>> = {}): Promise<StaticEnvoy> {
  const folder = await mkdtemp(join(tmpdir(), "weft-envoy-"));
  const adminPath = join(folder, "admin");
  const configPath = join(folder, "envoy.json");
  const loopback = { socket_address: { address: "127.0.0.1", port_value: 0 } };
  const layered = { layers: [{ name: "static", static_layer: runtime }] };
  await writeFile(configPath, JSON.stringify({ node, admin: { address: loopback }, layered_runtime: layered, static_resources: staticResources }));
  const child = spawn(
    await ensureEnvoy(),
    ["-c", configPath, "--admin-address-path", adminPath, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const close = async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const adminPort = async () => Number((await readFile(adminPath, "utf8")).split(":").at(-1));
  const ready = async () => (await fetchOnce(await adminPort(), "/ready")).status === 200;
  while (!(await ready().catch(() => false))) {
    if (child.exitCode !== null) {
      await close();
      throw new Error(`Envoy ended\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const admin = await adminPort();
  const { listener_statuses } = listenerStatuses.parse(JSON.parse((await fetchOnce(admin, "/listeners?format=json")).body));
  const ports = new Map(listener_statuses.map((listener) => [listener.name, listener.local_address.socket_address.port_value]));
  const portOf = (listener: string): number => {
    const port = ports.get(listener);
    if (port === undefined) throw new Error(`Envoy has no listener ${listener}`);
    return port;
  };
  return {
    pid: child.pid ?? 0,
    url: (listener) => `http://127.0.0.1:${portOf(listener)}`,
    get: (listener, path, headers = {}) => fetchOnce(portOf(listener), path, headers),
    async stat(name) {
      const { body } = await fetchOnce(admin, `/stats?filter=${encodeURIComponent(`^${name.replaceAll(".", "\\.")}$`)}`);
      const value = body.trim().split(": ").at(1);
      return value === undefined ? undefined : Number(value);
    },
    log: () => log,
    close,
  };
}

function fetchOnce(port: number, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, headers }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body })).once("error", reject);
    });
    outgoing.once("error", reject).end();
  });
}
