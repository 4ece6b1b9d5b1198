// Upstreams that answer with what reached them (in a header, so that HEAD shows it too), and a client that sends exactly what it is told: for comparing what Envoy did with what was expected of it.
import { Agent, request as httpRequest } from "node:http";
import { createServer, type Socket } from "node:net";
import { z } from "zod";
import type { ListenAddress } from "../../control-plane/mesh/instance.ts";
import type { HeaderMap, SimulatedRequest } from "../../control-plane/simulate/request.ts";

/** What an upstream saw. */
interface Echo {
  /** The cluster whose upstream it was. */
  readonly cluster: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: HeaderMap;
}

/** What the client got. */
export interface Reply {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: string;
  /** Undefined where the proxy answered by itself. */
  readonly echo: Echo | undefined;
}

/** Upstreams by cluster name, and the clusters in front of them. */
export interface EchoUpstreams {
  /** Envoy's static clusters. */
  readonly clusters: readonly object[];
  close(): Promise<void>;
}

const echoText = z.object({ path: z.string(), headers: z.array(z.string()) });

/** Starts one upstream per cluster; each adds `response` to its answers' headers. */
export async function startEchoUpstreams(names: readonly string[], response: HeaderMap = {}): Promise<EchoUpstreams> {
  const servers = await Promise.all(names.map((name) => startEcho(name, response)));
  return {
    clusters: servers.map(({ name, port }) => ({
      name,
      type: "STATIC",
      load_assignment: {
        cluster_name: name,
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }] }],
      },
    })),
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Starts one upstream at each place, by the name that it answers with. */
export async function startEchoesAt(places: ReadonlyMap<string, ListenAddress>, response: HeaderMap = {}): Promise<{ close(): Promise<void> }> {
  const servers = await Promise.all([...places].map(([name, place]) => startEcho(name, response, place)));
  return {
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Keeps connections to one Envoy open. */
export function keepAliveAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 8 });
}

/**
 * Sends a simulated request to a listener. `https` and `internal` are told by `x-forwarded-proto` and by a client address in 10.0.0.0/8, which the listener has
 * to trust.
 */
export function send(url: string, simulated: SimulatedRequest, agent: Agent): Promise<Reply> {
  const { hostname, port } = new URL(url);
  const headers = {
    ...(simulated.scheme === "https" ? { "x-forwarded-proto": "https" } : {}),
    ...(simulated.internal ? { "x-forwarded-for": "10.0.0.1" } : {}),
    ...Object.fromEntries(Object.entries(simulated.headers).map(([name, values]) => [name, [...values]])),
    host: simulated.authority,
  };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ hostname, port, method: simulated.method, path: simulated.path, headers, agent, setHost: false }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      incoming.once("error", reject).once("end", () => {
        const received = headerMap(incoming.rawHeaders);
        const cluster = received["x-upstream"]?.[0];
        resolve({
          status: incoming.statusCode ?? 0,
          headers: received,
          body,
          echo: cluster === undefined ? undefined : readEcho(cluster, received["x-echo"]?.[0] ?? ""),
        });
      });
    });
    outgoing.once("error", reject).end();
  });
}

function readEcho(cluster: string, text: string): Echo {
  const { path, headers } = echoText.parse(JSON.parse(decodeURIComponent(text)));
  const map = headerMap(headers);
  return { cluster, path, authority: map.host?.[0] ?? "", headers: map };
}

/** `[name, value, name, value, …]` by lower-case name. */
function headerMap(raw: readonly string[]): HeaderMap {
  const map = new Map<string, string[]>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    map.set(name, [...(map.get(name) ?? []), raw[index + 1] ?? ""]);
  }
  return Object.fromEntries(map);
}

interface StartedEcho {
  readonly name: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Reads requests without judging them, since a rewritten path need not be one that an HTTP server accepts. They have no bodies. */
async function startEcho(name: string, response: HeaderMap, place: ListenAddress = { address: "127.0.0.1", port: 0 }): Promise<StartedEcho> {
  const extra = Object.entries(response).flatMap(([header, values]) => values.map((value) => `${header}: ${value}`));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
    let received = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      received += text;
      for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
        const [line = "", ...headers] = received.slice(0, end).split("\r\n");
        received = received.slice(end + 4);
        const path = line.slice(line.indexOf(" ") + 1, line.lastIndexOf(" "));
        const raw = headers.flatMap((header) => [header.slice(0, header.indexOf(":")), header.slice(header.indexOf(":") + 1).trim()]);
        const echo = encodeURIComponent(JSON.stringify({ path, headers: raw }));
        socket.write(["HTTP/1.1 200 OK", "content-length: 0", `x-upstream: ${name}`, `x-echo: ${echo}`, ...extra, "", ""].join("\r\n"), "latin1");
      }
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(place.port, place.address, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream has no port");
  return {
    name,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
