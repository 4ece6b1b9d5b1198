// The process of all proxies: it is told over IPC what to do, and tells what came of it. A process of its own, so that its CPU is not the control plane's.
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
import { type EnvoyStream, newProxyMemory, openStream, type ProxyMemory } from "./envoy-stream.ts";

export type ClientsCommand =
  /** Opens the streams of these proxies; proxies that were connected before report what they hold. */
  | { readonly kind: "open"; readonly port: number; readonly proxies: readonly string[]; readonly security?: ClientSecurity }
  | { readonly kind: "close" }
  /** Answers once nothing has come for `quietMs`, and something has come at all where `atLeast` says how many streams wait for it. */
  | { readonly kind: "report"; readonly quietMs: number; readonly atLeast: number; readonly timeoutMs: number };

/** By which the two prove themselves; absent in plaintext. */
export interface ClientSecurity {
  readonly rootsPem: string;
  /** In the control plane's certificate. */
  readonly serverName: string;
  /** By proxy. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** What the streams have taken since the last report. */
export interface ClientsReport {
  readonly kind: "report";
  /** Streams that have taken something. */
  readonly streams: number;
  readonly medianBytes: number;
  readonly largestBytes: number;
  readonly resources: number;
  readonly removals: number;
  /** When the last byte came to the last of them, in Unix milliseconds; 0 where nothing came. */
  readonly lastAtMs: number;
}

/** As many as an Envoy would share a connection among itself: few streams per connection, as many connections as that takes. */
const STREAMS_PER_CONNECTION = 10;

const memories = new Map<string, ProxyMemory>();
let streams: EnvoyStream[] = [];
let connections: Client[] = [];

function open(port: number, proxies: readonly string[], security: ClientSecurity | undefined): void {
  const channel = security === undefined ? credentials.createInsecure() : securedBy(security);
  for (const [index, id] of proxies.entries()) {
    if (index % STREAMS_PER_CONNECTION === 0) {
      connections.push(
        new Client(`127.0.0.1:${port}`, channel, {
          "grpc.use_local_subchannel_pool": 1,
          "grpc.max_receive_message_length": -1,
          ...(security === undefined ? {} : { "grpc.ssl_target_name_override": security.serverName }),
        }),
      );
    }
    const connection = connections.at(-1);
    const memory = memories.get(id) ?? newProxyMemory(id);
    memories.set(id, memory);
    const metadata = new Metadata();
    if (security !== undefined) metadata.set("authorization", `Bearer ${security.tokens[id]}`);
    if (connection !== undefined) streams.push(openStream(connection, memory, (error) => broken(id, error), metadata));
  }
}

function securedBy({ rootsPem }: ClientSecurity): ChannelCredentials {
  return credentials.createSsl(Buffer.from(rootsPem));
}

let closing = false;

function broken(id: string, error: Error): void {
  if (!closing) console.error(`${id}: ${error.message}`);
}

function close(): void {
  closing = true;
  for (const { call } of streams) call.cancel();
  for (const connection of connections) connection.close();
  streams = [];
  connections = [];
  setImmediate(() => {
    closing = false;
  });
}

async function report({ quietMs, atLeast, timeoutMs }: Extract<ClientsCommand, { kind: "report" }>): Promise<ClientsReport> {
  const endMs = Date.now() + timeoutMs;
  const lastAt = (): number => streams.reduce((last, { counters }) => Math.max(last, counters.lastAtMs), 0);
  const reached = (): number => streams.filter(({ counters }) => counters.bytes > 0).length;
  while (Date.now() < endMs && (reached() < atLeast || Date.now() - lastAt() < quietMs)) await new Promise((resolve) => setTimeout(resolve, 20));
  const sizes = streams.map(({ counters }) => counters.bytes).sort((a, b) => a - b);
  const sum = (field: "resources" | "removals"): number => streams.reduce((total, { counters }) => total + counters[field], 0);
  const answer: ClientsReport = {
    kind: "report",
    streams: reached(),
    medianBytes: sizes[Math.floor(sizes.length / 2)] ?? 0,
    largestBytes: sizes.at(-1) ?? 0,
    resources: sum("resources"),
    removals: sum("removals"),
    lastAtMs: lastAt(),
  };
  for (const { counters } of streams) Object.assign(counters, { bytes: 0, resources: 0, removals: 0, lastAtMs: 0 });
  return answer;
}

process.on("message", async (command: ClientsCommand) => {
  if (command.kind === "open") open(command.port, command.proxies, command.security);
  else if (command.kind === "close") close();
  else process.send?.(await report(command));
});
process.on("disconnect", () => process.exit(0));
