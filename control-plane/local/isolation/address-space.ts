// Places of instances that have a network of their own: every port is free there, and services are where their names lead. Pure but for what it has given out.
import type { ListenAddress } from "../../mesh/instance.ts";
import type { AddressSpace } from "../address-space.ts";
import { attachedAddress, CAPTURE, type IsolatedMesh, instanceAddress, serviceAddress } from "./plan.ts";

export interface IsolatedAddresses {
  /** For instances in namespaces. */
  readonly inside: AddressSpace;
  /** For programs outside, on this machine: they are reached on the bridge, and reach services as without isolation. */
  readonly outside: AddressSpace;
  /** The number of an instance, from 1. */
  readonly indexOf: (owner: string) => number;
  /** The virtual address of a service. */
  readonly serviceAddress: (hostname: string) => string;
}

const FIRST_PROBED_PORT = 1_024;

/** `machine`: places on this machine itself. */
export function createIsolatedAddresses(mesh: IsolatedMesh, machine: AddressSpace): IsolatedAddresses {
  const instances = createNumbering();
  const services = createNumbering();
  const attached = createNumbering();
  const serviceListen = (hostname: string, port: number): ListenAddress => ({ address: serviceAddress(mesh, services(hostname)), port, captured: true });

  const portsInside = createPorts((owner) => instanceAddress(mesh, instances(owner)), Object.values(CAPTURE));
  const portsOutside = createPorts((owner) => attachedAddress(mesh, attached(owner)), []);
  return {
    inside: {
      listen: portsInside,
      listenAlone: (owner, use) => portsInside(owner, use, FIRST_PROBED_PORT),
      inbound: (owner, containerPort) => ({ address: instanceAddress(mesh, instances(owner)), port: containerPort, captured: true }),
      application: (owner, containerPort) =>
        containerPort === undefined
          ? portsInside(owner, "application", FIRST_PROBED_PORT)
          : { address: instanceAddress(mesh, instances(owner)), port: containerPort },
      service: (owner, hostname, port) => ({ listen: serviceListen(hostname, port), explain: portsInside(owner, `explain ${hostname} ${port}`, EXPLAIN_PORT) }),
      capture: CAPTURE,
    },
    outside: {
      ...machine,
      listen: portsOutside,
      inbound: (owner, containerPort) => portsOutside(owner, `inbound ${containerPort}`, containerPort),
    },
    indexOf: instances,
    serviceAddress: (hostname) => serviceAddress(mesh, services(hostname)),
  };
}

const EXPLAIN_PORT = 15_010;

/** Numbers names in the order in which they are first asked for. */
function createNumbering(): (name: string) => number {
  const numbers = new Map<string, number>();
  return (name) => {
    const known = numbers.get(name) ?? numbers.size + 1;
    numbers.set(name, known);
    return known;
  };
}

/** The preferred port of an owner's address, or the next that no other use of it has. */
function createPorts(addressOf: (owner: string) => string, reserved: readonly number[]): AddressSpace["listen"] {
  const owners = new Map<string, Map<string, number>>();
  return (owner, use, preferredPort) => {
    const uses = owners.get(owner) ?? new Map<string, number>();
    owners.set(owner, uses);
    const taken = new Set([...uses.values(), ...reserved]);
    let port = uses.get(use) ?? preferredPort;
    while (!uses.has(use) && taken.has(port)) port += 1;
    uses.set(use, port);
    return { address: addressOf(owner), port };
  };
}
