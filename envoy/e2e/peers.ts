// Clients with identities, for tests of who may do what: connections over mutual TLS, from chosen addresses to chosen addresses, with requests written byte by byte.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { createRoot, type Issuer, issueLeaf } from "../../control-plane/ca/certificates.ts";

/** A certificate and its key, as PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** An authority of the test's own. */
export interface TestAuthority {
  readonly rootsPem: string;
  /** A certificate for a SPIFFE id, made once. */
  identityOf(uri: string): Promise<Identity>;
}

/** A connection as a proxy is to see it. */
export interface PeerConnection {
  readonly port: number;
  /** Undefined: no client certificate. */
  readonly identity: Identity | undefined;
  readonly serverName: string;
  /** In 127.0.0.0/8: where it really comes from. */
  readonly source: string;
  /** What a PROXY protocol header says. */
  readonly proxyHeader: Buffer;
  readonly applicationProtocols?: readonly string[];
}

/** An answer to a request that was written by hand. */
export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; of several of one name the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const DAY_MS = 86_400_000;

/** Makes an authority. Certificates hold for a day from `nowMs`. */
export async function createTestAuthority(nowMs = Date.now()): Promise<TestAuthority> {
  const root: Issuer = await createRoot(1, nowMs);
  const made = new Map<string, Promise<Identity>>();
  const issue = async (uri: string): Promise<Identity> => {
    const leaf = await issueLeaf(root, { uri, nowMs, lifetimeMs: DAY_MS });
    return { cert: leaf.chainPem, key: leaf.privateKey.reveal() };
  };
  return {
    rootsPem: root.rootsPem.join(""),
    identityOf: (uri) => {
      const known = made.get(uri) ?? issue(uri);
      made.set(uri, known);
      return known;
    },
  };
}

/** Opens a connection. Rejects where it is refused. */
export async function openPeer(connection: PeerConnection): Promise<TLSSocket> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connectTcp({ host: "127.0.0.1", port: connection.port, localAddress: connection.source });
    opening.once("connect", () => resolve(opening)).once("error", reject);
  });
  socket.write(connection.proxyHeader);
  const { identity, serverName, applicationProtocols } = connection;
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      // Whom the test talks to is not what it is about.
      rejectUnauthorized: false,
      ...(serverName === "" ? {} : { servername: serverName }),
      ...(identity ?? {}),
      ...(applicationProtocols === undefined ? {} : { ALPNProtocols: [...applicationProtocols] }),
    });
    secured.once("secureConnect", () => resolve(secured)).once("error", reject);
  });
}

/** One request on a connection that has no other under way. Rejects when the connection ends before the answer does. */
export function requestOn(socket: TLSSocket | Socket, head: readonly string[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = "";
    const settle = (act: () => void) => {
      socket.off("data", onData).off("error", onEnd).off("close", onEnd);
      act();
    };
    const onEnd = () => settle(() => reject(new Error(`the connection ended after ${JSON.stringify(received)}`)));
    const onData = (chunk: Buffer) => {
      received += chunk.toString("latin1");
      const answer = parseAnswer(received);
      if (answer !== undefined) settle(() => resolve(answer));
    };
    socket.on("data", onData).once("error", onEnd).once("close", onEnd);
    socket.write([...head, "", ""].join("\r\n"), "latin1");
  });
}

/** Whether bytes come back on a connection: true once they do, false once it is closed. */
export function isEchoed(socket: TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    socket
      .once("data", () => resolve(true))
      .once("error", () => resolve(false))
      .once("close", () => resolve(false));
    socket.write("ping");
  });
}

/** Undefined while it has not come whole. */
function parseAnswer(text: string): RawAnswer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [line = "", ...fields] = text.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(fields.map((field) => [field.slice(0, field.indexOf(":")).toLowerCase(), field.slice(field.indexOf(":") + 1).trim()]));
  const length = Number(headers["content-length"] ?? 0);
  const body = text.slice(end + 4);
  return body.length < length ? undefined : { status: Number(line.split(" ")[1]), headers, body: body.slice(0, length) };
}

/** What a PROXY protocol header says: addresses of IPv4, and values that the proxy takes out of it by their types. */
export interface ProxyHeader {
  readonly source: string;
  readonly destination: string;
  readonly destinationPort: number;
  readonly values?: readonly { readonly type: number; readonly value: string }[];
}

/** Version 2 of the PROXY protocol, in bytes. */
export function proxyHeader({ source, destination, destinationPort, values = [] }: ProxyHeader): Buffer {
  const addresses = Buffer.from([...ipv4(source), ...ipv4(destination), 0x9c, 0x40, destinationPort >> 8, destinationPort & 255]);
  const fields = values.map(({ type, value }) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 255]), bytes]);
  });
  const body = Buffer.concat([addresses, ...fields]);
  return Buffer.concat([Buffer.from("0d0a0d0a000d0a515549540a2111", "hex"), Buffer.from([body.length >> 8, body.length & 255]), body]);
}

function ipv4(address: string): readonly number[] {
  return address.split(".").map(Number);
}
