// Takes the places of a mesh on this machine: addresses of its own where the machine has them, else ports of 127.0.0.1.
import { type AddressSpace, createAddressSpace, createPortSpace } from "./address-space.ts";
import { claimNetwork, claimPortBlock } from "./claims.ts";
import { createWildcardPortCheck } from "./listeners.ts";

export interface ClaimedPlaces {
  readonly addresses: AddressSpace;
  /** The N of 127.N.0.0/16; absent where the mesh has ports. */
  readonly network?: number;
  readonly release: () => void;
}

/** Linux has 127.0.0.0/8 without any set-up, macOS 127.0.0.1 alone. `portsOnly` takes ports where there are addresses, too. */
export async function claimPlaces(seed: string, portsOnly: boolean): Promise<ClaimedPlaces> {
  const claim = portsOnly ? undefined : await claimNetwork(seed);
  if (claim !== undefined) {
    const { network, release } = claim;
    return { network, addresses: createAddressSpace({ network, isTaken: createWildcardPortCheck() }), release };
  }
  const { ports, release } = await claimPortBlock(seed);
  return { addresses: createPortSpace(ports), release };
}
