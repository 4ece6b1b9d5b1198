// What every program of a demo does alike: listen, answer /healthz, log requests, and stop without losing one.
// Each demo folder holds its own copy, so that a folder can be copied away and still runs.
import { createServer } from "node:http";
import { hostname } from "node:os";

/** The name of this copy: the pod's name, which a cluster also gives as the host name. */
export const podName = process.env.POD_NAME ?? hostname();

// Longer than Envoy keeps an idle connection (1 h): were this side to close first, a request on its way would be cut.
const KEEP_ALIVE_MS = 3_610_000;
const DRAIN_MS = Number(process.env.DRAIN_MS ?? 500);

/** Answers with JSON in one write. */
export function answerJson(response, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": body.length, ...headers });
  response.end(body);
}

/** One line per request on stdout: `GET /path key=value … request-id=…`; what is undefined is left out. */
export function logRequest(request, fields = {}) {
  const line = [`${request.method} ${request.url}`];
  for (const [name, value] of Object.entries({ ...fields, "request-id": request.headers["x-request-id"] })) {
    if (value !== undefined) line.push(`${name}=${value}`);
  }
  console.log(line.join(" "));
}

/**
 * Listens on POD_IP:PORT (every address, and `defaultPort`, where they are unset; PORT=0 takes any free port) and lets `answer(request, response, path)` answer.
 * On SIGTERM: /healthz says 503, every answer asks for its connection to be closed, and DRAIN_MS later (or on a second signal) the port closes;
 * the process ends with code 0 when the last request is answered.
 */
export function serve(defaultPort, answer) {
  let draining = false;
  const inFlight = new Set();

  const server = createServer((request, response) => {
    inFlight.add(response);
    response.once("close", () => {
      inFlight.delete(response);
      if (!server.listening && inFlight.size === 0) server.closeAllConnections();
    });
    request.resume();
    response.setHeader("x-served-by", podName);
    if (draining) response.setHeader("connection", "close");
    const path = request.url.split("?", 1)[0];
    if (path === "/healthz") return answerJson(response, draining ? 503 : 200, { status: draining ? "draining" : "ok" });
    Promise.resolve()
      .then(() => answer(request, response, path))
      .catch((error) => {
        console.error(`${request.method} ${request.url} failed: ${error.stack}`);
        if (response.headersSent) response.destroy();
        else answerJson(response, 500, { error: error.message });
      });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;

  const closePort = () => {
    if (!server.listening) return;
    server.close(() => process.exit(0));
    if (inFlight.size === 0) server.closeAllConnections();
  };
  const stop = (signal) => {
    if (draining) return closePort();
    draining = true;
    for (const response of inFlight) if (!response.headersSent) response.setHeader("connection", "close");
    console.log(`${signal}: draining`);
    setTimeout(closePort, DRAIN_MS);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);

  server.once("error", (error) => {
    console.error(`cannot listen: ${error.message}`);
    process.exit(1);
  });
  server.listen(Number(process.env.PORT ?? defaultPort), process.env.POD_IP ?? "0.0.0.0", () => {
    const { address, port } = server.address();
    console.log(`${podName} listening on http://${address}:${port}`);
  });
}
