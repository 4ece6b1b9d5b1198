// The control plane's own HTTP API, on loopback: what it holds, for people, tests and `weft`. Read only.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Logger } from "pino";

/** One path of the API; the value is sent as JSON. Undefined answers 404. */
export type AdminRoutes = Readonly<Record<string, () => unknown>>;

export interface AdminServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Serves `routes` on 127.0.0.1. `port` 0 lets the system choose. Rejects when the port is taken. */
export function startAdminServer(options: { readonly port: number; readonly routes: AdminRoutes; readonly logger: Logger }): Promise<AdminServer> {
  const server = createServer((request, response) => answer(request, response, options.routes));
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

function answer(request: IncomingMessage, response: ServerResponse, routes: AdminRoutes): void {
  const path = new URL(request.url ?? "/", "http://admin").pathname;
  if (!LOOPBACK_HOST.test(request.headers.host ?? "")) return send(response, 403, { error: `host ${request.headers.host} is not served here; use 127.0.0.1` });
  if (request.headers.origin !== undefined) return send(response, 403, { error: "requests from web pages are not served" });
  if (request.method !== "GET") return send(response, 405, { error: "only GET is served" });
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return send(response, 404, { error: `no such path; there are ${Object.keys(routes).join(", ")}` });
  send(response, 200, route());
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
