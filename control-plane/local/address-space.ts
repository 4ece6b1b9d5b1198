// Gives every socket of a mesh its place, out of the mesh's own 127.N.0.0/16. Pure but for what it has given out: the same questions in the same order
// get the same answers, and an answer never changes.
import type { ListenAddress, Proxy } from "../mesh/instance.ts";

/**
 * Where a mesh listens: at addresses of its own, at ports of 127.0.0.1, or in networks of its instances' own. Nothing else depends on how places are
 * chosen.
 */
export interface AddressSpace {
  /**
   * A place for one use of one owner (`default/product-a-1`, `inbound 9090`); the same place for the same two names. The port is `preferredPort`, 8000 more
   * where that is privileged, or the next free one. Throws when there are no addresses left.
   */
  readonly listen: (owner: string, use: string, preferredPort: number) => ListenAddress;
  /** Likewise, with a port that nothing else of the mesh has: many programs listen on every address, whatever they are told. */
  readonly listenAlone: (owner: string, use: string) => ListenAddress;
  /** Where others reach an instance's container port. */
  readonly inbound: (owner: string, containerPort: number) => ListenAddress;
  /** Where the instance's program listens for it; a place of its own where the workload declares no port. */
  readonly application: (owner: string, containerPort: number | undefined) => ListenAddress;
  /** Where an instance reaches a port of a service, and where it is explained. */
  readonly service: (owner: string, hostname: string, port: number) => { readonly listen: ListenAddress; readonly explain: ListenAddress };
  /** Set where every connection of an instance is redirected to its proxy, so that programs call services by their names. */
  readonly capture?: NonNullable<Proxy["capture"]>;
}

export interface AddressSpaceOptions {
  /** The N of 127.N.0.0/16. */
  readonly network: number;
  /** Whether another program has this port on every address of the machine. */
  readonly isTaken: (port: number) => boolean;
}

const FIRST_UNPRIVILEGED_PORT = 1_024;
const LAST_PORT = 65_535;
const PRIVILEGED_OFFSET = 8_000;
/** Hosts of a /24: the first and the last are left out, which some programs take for network and broadcast. */
const HOSTS = 254;
const ADDRESSES = 256 * HOSTS;
/** Below the range from which systems take ports for outgoing connections. */
const FIRST_ALONE_PORT = 20_000;
const ALONE_PORTS_PER_NETWORK = 100;

/** The first address is left out: the claim on the network is held there. */
export function createAddressSpace({ network, isTaken }: AddressSpaceOptions): AddressSpace {
  const owners = new Map<string, { readonly address: string; readonly uses: Map<string, number> }>();
  const alonePorts = new Set<number>();
  let next = 1;

  const ownerOf = (name: string) => {
    const known = owners.get(name);
    if (known !== undefined) return known;
    if (next >= ADDRESSES) throw new Error(`127.${network}.0.0/16 has no addresses left`);
    const owner = { address: hostAddress(network, next), uses: new Map<string, number>() };
    owners.set(name, owner);
    next += 1;
    return owner;
  };
  const choose = (ownerName: string, use: string, from: number, isFree: (port: number) => boolean): ListenAddress => {
    const { address, uses } = ownerOf(ownerName);
    const known = uses.get(use);
    if (known !== undefined) return { address, port: known };
    const inUse = new Set(uses.values());
    const port = firstPort(from, (candidate) => !inUse.has(candidate) && !isTaken(candidate) && isFree(candidate));
    uses.set(use, port);
    return { address, port };
  };

  return withUses({
    listen: (owner, use, preferredPort) => choose(owner, use, unprivilegedPort(preferredPort), (port) => !alonePorts.has(port)),
    listenAlone: (owner, use) => {
      const place = choose(owner, use, FIRST_ALONE_PORT + (network % 100) * ALONE_PORTS_PER_NETWORK, (port) => !alonePorts.has(port));
      alonePorts.add(place.port);
      return place;
    },
  });
}

/**
 * For machines with one loopback address: each use has a port of 127.0.0.1, the preferred one being of no account, since several instances have the same.
 * `ports` are those that the mesh has claimed.
 */
export function createPortSpace(ports: readonly number[]): AddressSpace {
  const given = new Map<string, number>();
  const listen = (owner: string, use: string): ListenAddress => {
    const key = `${owner}\n${use}`;
    const port = given.get(key) ?? ports[given.size];
    if (port === undefined) throw new Error(`the ${ports.length} ports of this mesh on 127.0.0.1 are all in use`);
    given.set(key, port);
    return { address: "127.0.0.1", port };
  };
  return withUses({ listen, listenAlone: listen });
}

/** Explain listeners take this port or the next, at the address of what they explain. */
const EXPLAIN_PORT = 15_002;

/** All uses that an instance has for places, by the two ways to choose one. */
export function withUses({ listen, listenAlone }: Pick<AddressSpace, "listen" | "listenAlone">): AddressSpace {
  return {
    listen,
    listenAlone,
    inbound: (owner, containerPort) => listen(owner, `inbound ${containerPort}`, containerPort),
    application: (owner, containerPort) => listenAlone(owner, `application ${containerPort ?? ""}`),
    // An address of its own for each (instance, host).
    service: (owner, hostname, port) => ({
      listen: listen(`${owner} ${hostname}`, `service ${port}`, port),
      explain: listen(`${owner} ${hostname}`, `explain ${port}`, EXPLAIN_PORT),
    }),
  };
}

/** Where a port of the YAML is bound without root: itself, or 8000 more below 1024. */
export function unprivilegedPort(port: number): number {
  return port < FIRST_UNPRIVILEGED_PORT ? port + PRIVILEGED_OFFSET : port;
}

/** The first address of a mesh's network. */
export function claimAddress(network: number): string {
  return hostAddress(network, 0);
}

function hostAddress(network: number, index: number): string {
  return `127.${network}.${Math.floor(index / HOSTS)}.${1 + (index % HOSTS)}`;
}

function firstPort(from: number, isFree: (port: number) => boolean): number {
  for (let port = from; port <= LAST_PORT; port++) if (isFree(port)) return port;
  for (let port = FIRST_UNPRIVILEGED_PORT; port < from; port++) if (isFree(port)) return port;
  throw new Error("no port is free");
}
