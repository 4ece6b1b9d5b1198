// The socket that the server listens on: plain or TLS, with a certificate that may be replaced while connections go on, and with an end for whoever holds one
// open without using it.
import { createServer, type Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import type { LogRefusal } from "./refusal-log.ts";

/** What the server proves itself with: PEM. */
export interface ServerCertificate {
  readonly chainPem: string;
  readonly privateKey: { readonly reveal: () => string };
}

export interface Listener {
  readonly port: number;
  /** For connections from now on. Throws when there is no TLS. */
  readonly replaceCertificate: (certificate: ServerCertificate) => void;
  readonly close: () => void;
}

/** An Envoy opens one. More are closed at once. */
const MOST_CONNECTIONS = 20_000;
const HANDSHAKE_MS = 10_000;

/** A proxy that is let in has sent its token and who it is: more than this. Whoever has held a connection open as long as a handshake may take, and has not, never will. */
const LEAST_ASKED_BYTES = 1_024;

/**
 * Starts to listen for `server`, and tells of connections on which nothing was asked. Without a certificate everybody on the way can read and write along. Rejects
 * when the address cannot be bound.
 */
export async function listen(
  server: Server,
  address: { readonly host: string; readonly port: number },
  log: LogRefusal,
  certificate?: ServerCertificate,
): Promise<Listener> {
  const credentials = certificate === undefined ? undefined : new ReplaceableCredentials(contextOf(certificate));
  const injector = server.createConnectionInjector(credentials ?? ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  let closing = false;
  const listener = createServer((socket) => {
    sockets.add(socket);
    const openedMs = Date.now();
    const from = socket.remoteAddress ?? "";
    socket.on("error", () => undefined);
    socket.once("close", () => {
      sockets.delete(socket);
      if (!closing && socket.bytesRead < LEAST_ASKED_BYTES && Date.now() - openedMs >= HANDSHAKE_MS) log("nothing-asked", from);
    });
    injector.injectConnection(socket);
  });
  listener.maxConnections = MOST_CONNECTIONS;
  listener.on("drop", (connection) => log("too-many-connections", connection?.remoteAddress ?? ""));
  const port = await new Promise<number>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(address.port, address.host, () => {
      const bound = listener.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : address.port);
    });
  });
  return {
    port,
    replaceCertificate: (next) => {
      if (credentials === undefined) throw new Error("a plaintext server has no certificate");
      credentials.replace(contextOf(next));
    },
    close: () => {
      closing = true;
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function contextOf({ chainPem, privateKey }: ServerCertificate): SecureContextOptions {
  return { cert: chainPem, key: privateKey.reveal(), minVersion: "TLSv1.3" };
}

/** gRPC's own credentials cannot be told which TLS versions to take, or for how long to wait for a handshake. */
class ReplaceableCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ handshakeTimeout: HANDSHAKE_MS }, context);
  }

  replace(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}
