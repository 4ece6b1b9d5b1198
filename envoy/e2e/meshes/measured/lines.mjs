// A workload for tests that speaks no HTTP: it sends back what it is sent, twice.
import { createServer } from "node:net";

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("data", (bytes) => socket.write(Buffer.concat([bytes, bytes])));
  socket.on("end", () => socket.end());
  socket.on("error", () => undefined);
});
server.listen(Number(process.env.PORT), process.env.POD_IP);
process.on("SIGTERM", () => process.exit(0));
