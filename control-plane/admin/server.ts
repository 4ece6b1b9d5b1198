// The control plane's own HTTP API, on loopback: what it holds, for people, tests and `weft`. Read only.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Logger } from "pino";

/** One path of the API; the value is sent as JSON. */
export type AdminRoutes = Readonly<Record<string, () => unknown>>;

export interface AdminServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Serves `routes` on 127.0.0.1. `port` 0 lets the system choose. Rejects when the port is taken. */
export function startAdminServer(options: { readonly port: number; readonly routes: AdminRoutes; readonly logger: Logger }): Promise<AdminServer> {
  const server = createServer((request, response) => {
    try {
      send(response, answer(request, options.routes));
    } catch (error) {
      options.logger.error({ url: request.url, error: error instanceof Error ? error.stack : String(error) }, "an admin route failed");
      send(response, { status: 500, body: { error: "this path failed; the control plane's log says why" } });
    }
  });
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 64;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : options.port;
      options.logger.info({ port }, "admin API listening");
      resolve({
        port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

/** A page of another origin may reach a loopback port by a name of its own (DNS rebinding): only loopback names are served, and only reads. */
const LOOPBACK_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

function answer({ url = "/", method, headers }: IncomingMessage, routes: AdminRoutes): Answer {
  if (!LOOPBACK_HOST.test(headers.host ?? "")) return { status: 403, body: { error: `host ${headers.host} is not served here; use 127.0.0.1` } };
  if (headers.origin !== undefined) return { status: 403, body: { error: "requests from web pages are not served" } };
  if (method !== "GET") return { status: 405, body: { error: "only GET is served" } };
  const [path = ""] = url.split("?");
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return { status: 404, body: { error: `no such path; there are ${Object.keys(routes).join(", ")}` } };
  return { status: 200, body: route() };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${text}\n`);
}
