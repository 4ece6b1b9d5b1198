// What listens on this machine, as the system tells it; Linux only. Source: proc(5), /proc/net/tcp.
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import type { ListenAddress } from "../mesh/instance.ts";

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];
/** How a table of IPv6 sockets writes `::ffff:` of a mapped IPv4 address, and `::1`. */
const MAPPED = "0000000000000000FFFF0000";
const IPV6_LOOPBACK = "00000000000000000000000001000000";
const TABLE_AGE_MS = 1_000;

/** A listening socket; `address` as the table writes it: hexadecimal, words of four bytes with the lowest first. */
interface Listener {
  readonly address: string;
  readonly port: number;
}

/** Reads the rows in state LISTEN (0A) of `/proc/net/tcp` or `tcp6`. */
export function parseListeners(table: string): readonly Listener[] {
  return [...table.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A /gm)].map(([, address = "", port = ""]) => ({
    address,
    port: Number.parseInt(port, 16),
  }));
}

/** Ports on which some program listens on every address of the machine, so that no loopback address has them free. Empty where the system does not tell. */
export function wildcardPorts(): ReadonlySet<number> {
  return new Set((listeners() ?? []).filter(({ address }) => isWildcard(address)).map(({ port }) => port));
}

/** Whether a port is one of {@link wildcardPorts}, from a table that is at most a second old: it is long on a busy machine, and asked for each socket of a mesh. */
export function createWildcardPortCheck(): (port: number) => boolean {
  let [ports, readAtMs] = [wildcardPorts(), performance.now()];
  return (port) => {
    if (performance.now() - readAtMs > TABLE_AGE_MS) [ports, readAtMs] = [wildcardPorts(), performance.now()];
    return ports.has(port);
  };
}

/** Whether a program listens at a place: there, or on every address. Undefined where the system does not tell. */
export function isListening({ address, port }: ListenAddress): boolean | undefined {
  return listeners()?.some((listener) => listener.port === port && covers(listener.address, address));
}

function listeners(): readonly Listener[] | undefined {
  const tables = TABLES.flatMap((path) => {
    try {
      return [readFileSync(path, "utf8")];
    } catch {
      return [];
    }
  });
  return tables.length === 0 ? undefined : tables.flatMap(parseListeners);
}

function isWildcard(address: string): boolean {
  return /^0+$/.test(address);
}

/** Whether a listener's address, as the table writes it, takes connections to `address`. */
export function covers(listener: string, address: string): boolean {
  if (isWildcard(listener)) return true;
  if (!isIPv4(address)) return listener === IPV6_LOOPBACK;
  const bytes = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0").toUpperCase());
  const word = bytes.reverse().join("");
  return listener === word || listener === `${MAPPED}${word}`;
}
