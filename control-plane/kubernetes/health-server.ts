// What the kubelet, Prometheus and the other control planes ask: whether this one lives, whether it is ready, its metrics. Open to the cluster, read only, and
// nothing that it answers is a secret.
import { createServer, type ServerResponse } from "node:http";
import type { Logger } from "../xds/connection.ts";

export interface HealthOptions {
  readonly host: string;
  /** 0: chosen by the system. */
  readonly port: number;
  readonly logger: Logger;
  /** What it still waits for; undefined: it is ready. */
  readonly notReady: () => string | undefined;
  /** Prometheus' text format; empty before there is anything to tell. */
  readonly metrics: () => string;
  /** By key of a resource's version, how many proxies of this control plane have taken it. */
  readonly programmed: () => Readonly<Record<string, number>>;
}

export interface HealthServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

const TIMEOUT_MS = 5_000;
const MOST_CONNECTIONS = 256;

/** Rejects when the port is taken. */
export function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const server = createServer(({ url = "/", method }, response) => {
    try {
      if (method !== "GET" && method !== "HEAD") return send(response, 405, "only GET is served\n");
      return answer(options, url.split("?")[0] ?? "", response);
    } catch (error) {
      options.logger.error({ url, error: error instanceof Error ? error.stack : String(error) }, "a question to the control plane failed");
      return send(response, 500, "this path failed; the log says why\n");
    }
  });
  server.requestTimeout = TIMEOUT_MS;
  server.headersTimeout = TIMEOUT_MS;
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : options.port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

function answer({ notReady, metrics, programmed }: HealthOptions, path: string, response: ServerResponse): undefined {
  const reason = notReady();
  switch (path) {
    case "/healthz":
      return send(response, 200, "ok\n");
    case "/readyz":
      return reason === undefined ? send(response, 200, "ok\n") : send(response, 503, `${reason}\n`);
    case "/metrics":
      return send(response, 200, metrics(), "text/plain; version=0.0.4; charset=utf-8");
    case "/programmed":
      return send(response, 200, JSON.stringify(programmed()), "application/json");
    default:
      return send(response, 404, "there are /healthz, /readyz, /metrics\n");
  }
}

function send(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): undefined {
  response.writeHead(status, { "content-type": type });
  response.end(body);
}
