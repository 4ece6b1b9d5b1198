// A workload for tests that answers as it is told: ?status=CODE with that status, ?sleep=MS so much later.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://web");
  const reply = () => response.writeHead(Number(url.searchParams.get("status") ?? 200)).end("0123456789");
  request.resume();
  setTimeout(reply, Number(url.searchParams.get("sleep") ?? 0));
});
server.keepAliveTimeout = 3_610_000;
server.listen(Number(process.env.PORT), process.env.POD_IP);
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
