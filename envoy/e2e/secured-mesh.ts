// A mesh with policies in real Envoys, and applications that tell what reached them: for tests of who may do what.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import type { Instance, ListenAddress } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { sidecar } from "../../control-plane/test/mesh-of.ts";
import { wiredMesh } from "../../control-plane/test/wired-mesh.ts";
import { type RawAnswer, requestOn } from "./peers.ts";
import { type ServedMesh, serveMesh } from "./served-mesh.ts";

/** An application: answers one request. */
export type Application = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

export interface SecuredMesh {
  readonly mesh: Mesh;
  readonly served: ServedMesh;
  /** Serves other YAML of the same workloads; resolves when every Envoy has taken it. */
  readonly edit: (yaml: string) => Promise<void>;
  /** Where the sidecar of a workload takes requests for its first port. */
  inbound(workload: string): ListenAddress;
  /** A port of the gateway by the number in its YAML. */
  gateway(number: number): ListenAddress;
  close(): Promise<void>;
}

/** Answers every request with what it was: method, path and headers, as JSON. */
export const echo: Application = (incoming, outgoing) => {
  const { method, url, headers } = incoming;
  const body = JSON.stringify({ method, url, headers });
  outgoing.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
};

/** Starts everything. `applications` answer for the instances that they are named after; all others echo. */
export async function startSecuredMesh(
  yaml: string,
  network: number,
  options: {
    readonly applications?: Readonly<Record<string, Application>>;
    /** Ports of applications that run already, by instance. */
    readonly running?: Readonly<Record<string, number>>;
    readonly accessLogPath?: string;
    /** Proxies call each other by mutual TLS. */
    readonly identities?: boolean;
    readonly change?: (instance: Instance) => Instance;
  } = {},
): Promise<SecuredMesh> {
  const { applications = {}, running = {}, accessLogPath, identities = false, change } = options;
  const servers = new Map<string, { readonly server: Server; readonly port: number }>();
  for (const [name, application] of Object.entries({ ...applications, "": echo })) servers.set(name, await listen(application));
  const application = (instance: string): ListenAddress => ({
    address: "127.0.0.1",
    port: running[instance] ?? (servers.get(instance) ?? servers.get(""))?.port ?? 0,
  });
  const stop = async () => {
    for (const { server } of servers.values()) {
      server.closeAllConnections();
      server.close();
    }
  };
  try {
    const wiring = { network: `127.${network}`, httpProxy: false, application, ...(change === undefined ? {} : { change }) };
    const meshOf = (text: string): Mesh => wiredMesh(text, accessLogPath === undefined ? wiring : { ...wiring, accessLogPath });
    const mesh = meshOf(yaml);
    const served = await serveMesh(mesh, { identities });
    return {
      mesh,
      served,
      edit: (text) => served.publish(meshOf(text)),
      inbound: (workload) => required(sidecar(mesh, workload).inbound[0]?.listen, `a port of ${workload}`),
      gateway: (number) =>
        required(mesh.proxies.flatMap(({ gatewayPorts }) => gatewayPorts).find((port) => port.number === number)?.listen, `gateway port ${number}`),
      close: async () => {
        await served.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One request, written byte by byte: nothing between the test and Envoy mends it. `source`: where it comes from, in 127.0.0.0/8. */
export async function askRaw(to: ListenAddress, path: string, headers: readonly string[] = [], method = "GET", source = "127.0.0.1"): Promise<RawAnswer> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect({ host: to.address, port: to.port, localAddress: source });
    opening.once("connect", () => resolve(opening)).once("error", reject);
  });
  const hosted = headers.some((header) => /^host:/i.test(header)) ? headers : ["host: web", ...headers];
  try {
    return await requestOn(socket, [`${method} ${path} HTTP/1.1`, ...hosted]);
  } finally {
    socket.destroy();
  }
}

async function listen(application: Application): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(application);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the application has no port");
  return { server, port: address.port };
}

function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`the mesh has no ${what}`);
  return value;
}
