// Takes what two meshes on one machine must not share: a network of loopback addresses, and the gateways' ports. Held by listening sockets, so that the system
// gives them back however this process ends.
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";
import { claimAddress } from "./address-space.ts";

interface Claim {
  readonly release: () => void;
}

export interface NetworkClaim extends Claim {
  /** The N of 127.N.0.0/16. */
  readonly network: number;
}

export interface PortBlockClaim extends Claim {
  /** Those of the block that nobody listens on, in order. */
  readonly ports: readonly number[];
}

export interface PortClaim extends Claim {
  readonly port: number;
}

/** The field 127.64.0.0 to 127.191.0.0: far from 127.0.0.1 and from what distributions use (127.0.1.1, 127.0.0.53). */
const FIRST_NETWORK = 64;
const NETWORKS = 128;
const CLAIM_PORT = 15_999;
/** Where there is 127.0.0.1 alone: blocks of ports from 20000 to 31999, below those that systems take for outgoing connections. */
const FIRST_BLOCK_PORT = 20_000;
const BLOCK_PORTS = 2_000;
const BLOCKS = 6;
/** Claims on ports of 127.0.0.1 are held here: there the Envoys themselves listen. */
const PORT_CLAIM_ADDRESS = "127.255.255.254";

/**
 * Takes a network for the mesh that `seed` names; the same one each time, as long as it is free, so that addresses stay the same from run to run.
 * Undefined where only 127.0.0.1 can be bound.
 */
export async function claimNetwork(seed: string): Promise<NetworkClaim | undefined> {
  const start = seedNumber(seed) % NETWORKS;
  for (let step = 0; step < NETWORKS; step++) {
    const network = FIRST_NETWORK + ((start + step) % NETWORKS);
    const server = await listen(claimAddress(network), CLAIM_PORT);
    if (typeof server !== "string") return { network, release: () => server.close() };
    if (server === "EADDRNOTAVAIL") return undefined;
    if (server !== "EADDRINUSE")
      throw new Error(`${claimAddress(network)}:${CLAIM_PORT} cannot be bound (${server}). Fix: allow this program to listen on loopback addresses`);
  }
  throw new Error(
    `${NETWORKS} loopback networks are taken. Fix: end meshes that you no longer need, and whatever listens on port ${CLAIM_PORT} of every address`,
  );
}

/** Whether a mesh that runs has taken a network. */
export async function isClaimed(network: number): Promise<boolean> {
  const server = await listen(claimAddress(network), CLAIM_PORT);
  if (typeof server === "string") return true;
  await new Promise((resolve) => server.close(resolve));
  return false;
}

/** Takes a block of ports of 127.0.0.1 for the mesh that `seed` names, likewise. Its last port holds the claim. */
export async function claimPortBlock(seed: string): Promise<PortBlockClaim> {
  const start = seedNumber(seed) % BLOCKS;
  for (let step = 0; step < BLOCKS; step++) {
    const firstPort = FIRST_BLOCK_PORT + ((start + step) % BLOCKS) * BLOCK_PORTS;
    const lastPort = firstPort + BLOCK_PORTS - 1;
    const server = await listen("127.0.0.1", lastPort);
    if (typeof server === "string") continue;
    const numbers = Array.from({ length: BLOCK_PORTS - 1 }, (_, index) => firstPort + index);
    const free = await Promise.all(numbers.map(async (port) => ((await isFree(port)) ? [port] : [])));
    return { ports: free.flat(), release: () => server.close() };
  }
  throw new Error(
    `${BLOCKS} meshes or other programs have the ports from ${FIRST_BLOCK_PORT} to ${FIRST_BLOCK_PORT + BLOCKS * BLOCK_PORTS - 1} of 127.0.0.1. Fix: end those that you no longer need`,
  );
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen("127.0.0.1", port);
  if (typeof server === "string") return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function seedNumber(seed: string): number {
  return createHash("sha256").update(seed).digest().readUInt16BE(0);
}

/** Takes a port of 127.0.0.1: `preferred` or the next free one; 0 lets the system choose. */
export async function claimLoopbackPort(preferred: number): Promise<PortClaim> {
  for (let port = preferred; port <= 65_535; port++) {
    const probe = await listen("127.0.0.1", port);
    if (typeof probe === "string") {
      if (probe === "EADDRINUSE") continue;
      throw new Error(`127.0.0.1:${port} cannot be bound (${probe})`);
    }
    const address = probe.address();
    const bound = typeof address === "object" && address !== null ? address.port : port;
    const claim = await listen(PORT_CLAIM_ADDRESS, bound);
    await new Promise((resolve) => probe.close(resolve));
    if (typeof claim !== "string") return { port: bound, release: () => claim.close() };
    // Nowhere to hold it: whoever binds it first has it.
    if (claim === "EADDRNOTAVAIL") return { port: bound, release: () => undefined };
    if (preferred === 0) port = -1;
  }
  throw new Error(`no port of 127.0.0.1 from ${preferred} on is free`);
}

/** The listening server, or the code of the error. It does not keep the process alive. */
function listen(host: string, port: number): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once("error", (error) => resolve("code" in error && typeof error.code === "string" ? error.code : error.message));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
