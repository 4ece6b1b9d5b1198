// A workload for tests: says what reached it, and fails or dawdles when it is told to.
// GET /counts: requests by authority. POST /mode?status=503: answer everything with that status until told otherwise. ?sleep=MS: answer late.
import { createServer } from "node:http";

const counts = {};
let status = 200;

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://echo");
  request.resume();
  const answer = (code, value) => {
    response.writeHead(code, { "content-type": "application/json", "x-served-by": process.env.POD_NAME, "x-version": process.env.VERSION });
    response.end(JSON.stringify(value));
  };
  if (url.pathname === "/healthz") return answer(200, {});
  if (url.pathname === "/counts") return answer(200, counts);
  if (url.pathname === "/mode") {
    status = Number(url.searchParams.get("status"));
    return answer(200, {});
  }
  const authority = request.headers.host;
  counts[authority] = (counts[authority] ?? 0) + 1;
  const reply = () => answer(status, { pod: process.env.POD_NAME, method: request.method, path: request.url, authority, headers: request.headers });
  const sleepMs = Number(url.searchParams.get("sleep") ?? 0);
  if (sleepMs > 0) setTimeout(reply, sleepMs);
  else reply();
});
server.keepAliveTimeout = 3_610_000;
server.listen(Number(process.env.PORT), process.env.POD_IP);
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
