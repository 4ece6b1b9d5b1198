// Addresses and the blocks that hold them, as numbers.

/** Whether a block (`10.0.0.0/8`, or one address) holds the address that a text (`10.1.2.3`, or a block's first) names. False where either is no address. */
export function coversAddress(subnet: string, address: string): boolean {
  const [network = "", length] = subnet.split("/");
  const [first = ""] = address.split("/");
  const [outer, inner] = [parseAddress(network), parseAddress(first)];
  if (outer === undefined || inner === undefined || outer.bits !== inner.bits) return false;
  const free = BigInt(outer.bits - (length === undefined ? outer.bits : Number(length)));
  return outer.value >> free === inner.value >> free;
}

interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

function parseAddress(text: string): Address | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets !== null) return { bits: 32, value: octets.slice(1).reduce((value, octet) => value * 256n + BigInt(octet), 0n) };
  if (!/^[0-9a-f:]+$/i.test(text) || !text.includes(":")) return undefined;
  const [head = "", tail] = text.split("::");
  const groups = (part: string): readonly string[] => (part === "" ? [] : part.split(":"));
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...groups(tail ?? "")];
  return all.length === 8 ? { bits: 128, value: all.reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n) } : undefined;
}
