// `--isolate` as the fleet uses it: where instances are, and how their processes are started in namespaces of their own.
import type { ListenAddress } from "../../mesh/instance.ts";
import type { AddressSpace } from "../address-space.ts";
import { type InstanceIdentity, slotName } from "../layout.ts";
import type { InstancePlace } from "../live-instance.ts";
import type { DesiredHost } from "../protocol.ts";
import { createIsolatedAddresses } from "./address-space.ts";
import { createIsolatedNetwork, isolationProblem, programInside, proxyInside } from "./network.ts";
import { namespaceName, probeAddress } from "./plan.ts";

export interface Isolation {
  /** Where an instance is: inside a namespace, or, for programs that somebody runs by hand, on this machine. */
  readonly addressesOf: (identity: InstanceIdentity) => AddressSpace;
  /** Begins to make the place of an instance. */
  readonly place: (identity: InstanceIdentity, address: string) => InstancePlace;
  readonly setHosts: (hosts: readonly DesiredHost[]) => void;
  /** The control plane as instances reach it. */
  readonly xds: () => ListenAddress;
  readonly close: () => Promise<void>;
}

export interface IsolationOptions {
  /** The N of 127.N.0.0/16, which the mesh has claimed. */
  readonly network: number;
  readonly isClaimed: (network: number) => Promise<boolean>;
  /** Places on this machine itself. */
  readonly addresses: AddressSpace;
  /** The control plane's port on 127.0.0.1. */
  readonly xdsPort: () => number;
  readonly onError: (error: Error) => void;
}

/** Rejects with what is wrong and what to do where this system cannot do it. */
export async function createIsolation(options: IsolationOptions): Promise<Isolation> {
  const problem = await isolationProblem();
  if (problem !== undefined) throw new Error(problem);
  const mesh = { network: options.network };
  const network = await createIsolatedNetwork(mesh, options.isClaimed);
  const xds = await network.relay(options.xdsPort);
  const addresses = createIsolatedAddresses(mesh, options.addresses);
  // One after the other: what is written last counts.
  let written: Promise<void> = Promise.resolve();

  return {
    addressesOf: ({ role }) => (role?.kind === "attached" ? addresses.outside : addresses.inside),
    place: (identity, address) => {
      const { name, workload, role } = identity;
      const slot = slotName(workload.namespace, name);
      if (role?.kind === "attached") return placeOnMachine(network.addMachineAddress(address));
      const redirected = role?.kind !== "stub";
      const index = addresses.indexOf(`${workload.namespace}/${name}`);
      return {
        prepared: network.add({ slot, index, address, redirected, name, namespace: workload.namespace }),
        application: (spec) => programInside(mesh, slot, spec),
        proxy: (spec) => proxyInside(mesh, slot, spec),
        xds: () => xds,
        probeFrom: probeAddress(mesh),
        namespace: namespaceName(mesh, slot),
        leave: () => network.remove(slot),
      };
    },
    setHosts: (hosts) => {
      const placed = hosts.map((host) => ({ ...host, address: addresses.serviceAddress(host.hostname) }));
      written = written.then(() => network.setHosts(placed)).catch(options.onError);
    },
    xds: () => xds,
    close: network.close,
  };
}

function placeOnMachine(prepared: Promise<void>): InstancePlace {
  return { prepared, application: (spec) => spec, proxy: (spec) => spec, leave: async () => undefined };
}
