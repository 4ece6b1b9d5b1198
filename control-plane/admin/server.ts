// The control plane's own HTTP API, on loopback: what it holds, for people, tests and `weft`. Read only.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Logger } from "pino";
import { systemClock } from "../xds/clock.ts";
import { createRefusalLog } from "../xds/refusal-log.ts";

/** Paths of the API; the values are sent as JSON. */
export type AdminRoutes = Readonly<Record<string, () => unknown>>;
/** Paths whose values are sent as they are. */
type TextRoutes = Readonly<Record<string, () => string>>;

export interface AdminServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Serves `routes` and `texts` on 127.0.0.1. `port` 0 lets the system choose. Rejects when the port is taken. */
export function startAdminServer(options: {
  readonly port: number;
  readonly routes: AdminRoutes;
  readonly texts?: TextRoutes;
  readonly logger: Logger;
}): Promise<AdminServer> {
  const logRefusal = createRefusalLog(options.logger, systemClock);
  const server = createServer((request, response) => {
    try {
      const answered = answer(request, options.routes, options.texts ?? {});
      if (answered.refused !== undefined) logRefusal(`admin-${answered.refused}`, request.socket.remoteAddress ?? "");
      send(response, answered);
    } catch (error) {
      options.logger.error({ url: request.url, error: error instanceof Error ? error.stack : String(error) }, "an admin route failed");
      send(response, { status: 500, body: { error: "this path failed; the control plane's log says why" } });
    }
  });
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 64;
  server.on("drop", (connection) => logRefusal("admin-too-many-connections", connection?.remoteAddress ?? ""));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET") return;
    const slow = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
    logRefusal(slow ? "admin-slow" : "admin-malformed", "remoteAddress" in socket ? String(socket.remoteAddress) : "");
    if (socket.writable) socket.end(`HTTP/1.1 ${slow ? "408 Request Timeout" : "400 Bad Request"}\r\nConnection: close\r\n\r\n`);
    else socket.destroy();
  });
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
  /** Sent in place of `body`. */
  readonly text?: string;
  /** Why, in a word, for the log. */
  readonly refused?: string;
}

function answer({ url = "/", method, headers }: IncomingMessage, routes: AdminRoutes, texts: TextRoutes): Answer {
  if (!LOOPBACK_HOST.test(headers.host ?? ""))
    return { status: 403, refused: "foreign-host", body: { error: `host ${headers.host} is not served here; use 127.0.0.1` } };
  if (headers.origin !== undefined) return { status: 403, refused: "web-page", body: { error: "requests from web pages are not served" } };
  if (method !== "GET") return { status: 405, refused: "write", body: { error: "only GET is served" } };
  const [path = ""] = url.split("?");
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const text = Object.hasOwn(texts, path) ? texts[path] : undefined;
  if (text !== undefined) return { status: 200, body: undefined, text: text() };
  if (route === undefined) return { status: 404, body: { error: `no such path; there are ${[...Object.keys(routes), ...Object.keys(texts)].join(", ")}` } };
  return { status: 200, body: route() };
}

function send(response: ServerResponse, { status, body, text }: Answer): void {
  response.writeHead(status, { "content-type": text === undefined ? "application/json" : METRICS_TYPE });
  response.end(text ?? `${JSON.stringify(body)}\n`);
}

/** Source: Prometheus, "Exposition formats". */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
