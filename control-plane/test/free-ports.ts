// Ports for programs that do not say which one the system has chosen.
import { createServer } from "node:net";

/** For each address a port that was free there a moment ago; all are different where the addresses are the same. */
export async function freePorts(addresses: readonly string[]): Promise<readonly number[]> {
  const servers = await Promise.all(
    addresses.map(async (address) => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, address, resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const place = server.address();
    if (place === null || typeof place === "string") throw new Error("no port");
    return place.port;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** One on loopback. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(["127.0.0.1"]);
  return port;
}
