// Parsed records by id. An id is its record's hash, so an entry is never stale; when there is no room, all are dropped and come back by misses.
//
// ┌ slot, 24 bytes, open addressing ────────────────────────┐
// │ id, 16 hexadecimal digits │ state u32 │ unused u32      │   state 0: free; up to RETRY_AFTER: refused, that many requests until it is read again;
// └─────────────────────────────────────────────────────────┘   else the record's address
import { indexEnd, indexStart, poolEnd, poolStart } from "./arena";
import { hexDigit } from "./digits";
import { FNV_START, fnv } from "./hash";
import { FAULT_HASH, FAULT_NONE, FAULT_SIZE, MAX_RECORD_BYTES, MAX_TEXT_BYTES, Record, parse, parsed, parsedEnd } from "./record";

/** A record's id is this many bytes. */
export const ID_BYTES: usize = 16;
const SLOT_BYTES: usize = 24;
const STATE: usize = 16;
const SLOTS: u32 = 2048;
/** Open addressing needs free slots to end a search. */
const MAX_TAKEN: u32 = 1536;
/** Requests until a refused id is read again: a refusal, unlike a record, could be put right under the same id. */
const RETRY_AFTER: u32 = 1024;

let taken: u32 = 0;
let poolTop: usize = poolStart;

/** The slot of an id: its own, or the free one where it belongs. */
export function findSlot(id: usize): usize {
  const low = load<u64>(id);
  const high = load<u64>(id, 8);
  // The digits of a hash: any mix of them spreads well enough.
  let index = <u32>((low * 31 + high) * 0x9e3779b97f4a7c15 >> 53);
  while (true) {
    const slot = indexStart + <usize>index * SLOT_BYTES;
    if (load<u32>(slot, STATE) == 0 || (load<u64>(slot) == low && load<u64>(slot, 8) == high)) return slot;
    index = (index + 1) & (SLOTS - 1);
  }
}

/** The record of a slot, or null when it is unknown or refused. */
export function recordOf(slot: usize): Record | null {
  const state = load<u32>(slot, STATE);
  return state > RETRY_AFTER ? changetype<Record>(<usize>state) : null;
}

/** Whether the slot's id was refused, and so lately that it is not read again. Counts the request. */
export function refusedLately(slot: usize): bool {
  const state = load<u32>(slot, STATE);
  if (state > 1) store<u32>(slot, state - 1, STATE);
  return state > 1;
}

/** Reads a text under an id and remembers the outcome. Gives FAULT_NONE, then `recordOf(findSlot(id))` is the record, or what is wrong. */
export function remember(id: usize, text: usize, size: usize): u32 {
  if (taken >= MAX_TAKEN || poolEnd - poolTop < MAX_RECORD_BYTES) dropAll();
  let fault = FAULT_SIZE;
  if (size <= MAX_TEXT_BYTES) {
    fault = FAULT_HASH;
    if (isHexOf(fnv(FNV_START, text, size), id)) {
      memory.copy(poolTop, text, size);
      fault = parse(poolTop, size);
    }
  }
  const slot = findSlot(id);
  if (load<u32>(slot, STATE) == 0) taken++;
  memory.copy(slot, id, ID_BYTES);
  store<u32>(slot, fault == FAULT_NONE ? <u32>parsed : RETRY_AFTER, STATE);
  if (fault == FAULT_NONE) poolTop = parsedEnd;
  return fault;
}

/** Remembers that an id came without a readable text. */
export function rememberRefusal(id: usize): void {
  remember(id, 0, MAX_TEXT_BYTES + 1);
}

function dropAll(): void {
  memory.fill(indexStart, 0, indexEnd - indexStart);
  taken = 0;
  poolTop = poolStart;
}

/** Whether `digits` are the 16 lower-case hexadecimal digits of `value`. */
function isHexOf(value: u64, digits: usize): bool {
  for (let index: usize = 0; index < ID_BYTES; index++) {
    if (load<u8>(digits + index) != hexDigit(value >> (60 - (index << 2)))) return false;
  }
  return true;
}
