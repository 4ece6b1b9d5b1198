// Hashes of the decision record (their contract: control-plane/translate/decision-record.ts) and the random generator.

const FNV_PRIME: u64 = 0x100000001b3;
export const FNV_START: u64 = 0xcbf29ce484222325;

/** FNV-1a 64 of `size` bytes, going on from `start` (FNV_START for a new hash). */
export function fnv(start: u64, bytes: usize, size: usize): u64 {
  let hash = start;
  for (const end = bytes + size; bytes < end; bytes++) hash = (hash ^ load<u8>(bytes)) * FNV_PRIME;
  return hash;
}

/** Goes on hashing with one byte of value 0, which ends the salt. */
export function fnvZero(hash: u64): u64 {
  return hash * FNV_PRIME;
}

/** Murmur3's 64-bit finalizer: every bit of the input reaches every bit of the output. */
export function fmix64(hash: u64): u64 {
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}

let state: u64 = 0;

/** Starts the generator; every worker's VM must be given bytes of its own. */
export function seed(value: u64): void {
  state = value;
}

/** The next 64 random bits (SplitMix64: one addition and a mix, period 2^64). */
export function random(): u64 {
  state += 0x9e3779b97f4a7c15;
  let bits = state;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}
