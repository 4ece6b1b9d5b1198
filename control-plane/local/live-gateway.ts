// One gateway proxy while it lives: an Envoy whose ports are claimed on 127.0.0.1, where browsers and other programs find them.
import type { GatewayPort, Proxy } from "../mesh/instance.ts";
import type { AddressSpace } from "./address-space.ts";
import { unprivilegedPort } from "./address-space.ts";
import { claimLoopbackPort, type PortClaim } from "./claims.ts";
import { type EnvoyContext, type EnvoyProcess, startEnvoy } from "./envoy-process.ts";
import type { ReadyGateway } from "./events.ts";
import { type GatewayIdentity, gatewayAdmin, gatewayOf, type LogPaths, readyGateway } from "./layout.ts";

export interface LiveGateway {
  readonly identity: GatewayIdentity;
  readonly proxy: () => Proxy;
  readonly ready: () => boolean;
  readonly pid: () => number;
  readonly startedInMs: () => number | undefined;
  readonly describe: () => ReadyGateway;
  /** Claims what is new and gives back what is no longer asked for. The Envoy learns it from the control plane. */
  readonly setPorts: (numbers: readonly number[]) => Promise<void>;
  readonly end: () => Promise<void>;
}

export interface GatewayOptions {
  readonly identity: GatewayIdentity;
  readonly ports: readonly number[];
  readonly addresses: AddressSpace;
  readonly logs: LogPaths;
  readonly envoy: EnvoyContext;
  /** Where a server port is wanted; 0: wherever the system likes. */
  readonly preferredPort: (number: number) => number;
  readonly changed: () => void;
}

/** Claims the ports, then starts the Envoy. */
export async function startGateway(options: GatewayOptions): Promise<LiveGateway> {
  const { identity, logs } = options;
  const admin = gatewayAdmin(options.addresses, identity);
  const claims = new Map<number, { readonly port: GatewayPort; readonly held: readonly PortClaim[] }>();
  const ports = (): readonly GatewayPort[] => [...claims.values()].map(({ port }) => port).sort((a, b) => a.number - b.number);
  const release = (number: number): void => {
    for (const claim of claims.get(number)?.held ?? []) claim.release();
    claims.delete(number);
  };
  const setPorts = async (numbers: readonly number[]): Promise<void> => {
    for (const number of [...claims.keys()]) if (!numbers.includes(number)) release(number);
    for (const number of numbers) if (!claims.has(number)) claims.set(number, await claimPort(number, options.preferredPort(number)));
  };
  const proxy = (): Proxy => gatewayOf(identity, ports(), logs.access);
  await setPorts(options.ports);
  const envoy: EnvoyProcess = startEnvoy(proxy(), admin, logs.envoy, options.envoy, options.changed);
  return {
    identity,
    proxy,
    ready: envoy.ready,
    pid: envoy.pid,
    startedInMs: envoy.startedInMs,
    describe: () => readyGateway(identity, admin, ports(), logs, envoy.pid()),
    setPorts,
    end: async () => {
      await envoy.end();
      for (const number of [...claims.keys()]) release(number);
    },
  };
}

/** Where a gateway's port stands unless told otherwise: 8080 for 80, 8443 for 443, 8000 more below 1024. */
export function usualGatewayPort(number: number): number {
  return unprivilegedPort(number);
}

async function claimPort(number: number, preferred: number): Promise<{ readonly port: GatewayPort; readonly held: readonly PortClaim[] }> {
  const listen = await claimLoopbackPort(preferred);
  const explain = await claimLoopbackPort(0);
  return { port: { number, listen: { address: "127.0.0.1", port: listen.port }, explainPort: explain.port }, held: [listen, explain] };
}
