// The decision record, from its text (control-plane/translate/decision-record.ts writes it) to what decide.ts works on. Everything is checked here, once,
// so that deciding cannot fail per request.
//
// ┌ Record, 64 bytes ──────────────────────────┬ Node, 40 bytes ┬ Node ┬ Node ┬ Node ┬ Node ┬ …
// │ sum, keys, salt's hash, where the text is  │ candidate 0    │ its entries │ cand. 1     │
// └────────────────────────────────────────────┴────────────────┴─────────────┴─────────────┴ …
// The text itself lies before the record; names point into it.
import { FNV_START, fmix64, fnv, fnvZero } from "./hash";

/** Limits of the contract. */
export const MAX_TEXT_BYTES: usize = 16384;
const MAX_CANDIDATES: usize = 64;
const MAX_ENTRIES: usize = 256;

/** What a key is read from. */
export const KEY_NONE: u32 = 0;
export const KEY_HEADER: u32 = 1;
export const KEY_COOKIE: u32 = 2;

/** A route's choice. Little-endian; addresses are absolute. */
@unmanaged
export class Record {
  sum: u32;
  candidateCount: u32;
  keyKind: u32;
  keyName: usize;
  keyNameSize: u32;
  /** `Set-Cookie` attributes of a cookie to generate; size 0: none is generated. */
  attributes: usize;
  attributesSize: u32;
  zoneKind: u32;
  zoneName: usize;
  zoneNameSize: u32;
  text: usize;
  textSize: u32;
  /** FNV-1a 64 over the salt and a zero byte; a key's hash goes on from it. */
  saltHash: u64;
  reserved: u64;
}

/** A candidate, followed in memory by its entries (`children` of them), or an entry. */
@unmanaged
export class Node {
  /** fmix64 of FNV-1a 64 over the name. */
  hash: u64;
  /** The candidate's weight, the entry's width; at least 1. */
  weight: f64;
  /** The interval of picks, [start, start + width). */
  start: u32;
  width: u32;
  name: usize;
  nameSize: u32;
  children: u32;
  reserved: u32;
}

const RECORD_BYTES: usize = offsetof<Record>();
export const NODE_BYTES: usize = offsetof<Node>();
/** The most that one record takes in the pool. */
export const MAX_RECORD_BYTES: usize = MAX_TEXT_BYTES + 8 + RECORD_BYTES + (MAX_CANDIDATES + MAX_ENTRIES) * NODE_BYTES;

/** The record's first candidate. */
export function firstCandidate(record: Record): Node {
  return changetype<Node>(changetype<usize>(record) + RECORD_BYTES);
}

/** The node after this one and its entries: the next candidate, or, of an entry, the next entry. */
export function nextNode(node: Node): Node {
  return changetype<Node>(changetype<usize>(node) + NODE_BYTES + <usize>node.children * NODE_BYTES);
}

/** A candidate's first entry. */
export function firstEntry(candidate: Node): Node {
  return changetype<Node>(changetype<usize>(candidate) + NODE_BYTES);
}

/** Why a record is refused. */
export const FAULT_NONE: u32 = 0;
export const FAULT_ID: u32 = 1;
export const FAULT_TEXT: u32 = 2;
export const FAULT_SIZE: u32 = 3;
export const FAULT_HASH: u32 = 4;
export const FAULT_HEAD: u32 = 5;
export const FAULT_NODES: u32 = 6;
export const FAULT_SUM: u32 = 7;

// Where the parser stands. A field is what lies between two separators; `fieldEndsLine` says that a line feed ended it.
let at: usize = 0;
let end: usize = 0;
let fieldAt: usize = 0;
let fieldSize: u32 = 0;
let fieldEndsLine: bool = false;

/** The record that `parse` made last. */
export let parsed: usize = 0;
/** The first free byte behind it. */
export let parsedEnd: usize = 0;

/** Reads a text that lies where it is to stay, with MAX_RECORD_BYTES of room from its start. Gives FAULT_NONE and sets `parsed`, or says what is wrong. */
export function parse(text: usize, size: usize): u32 {
  at = text;
  end = text + size;
  const record = changetype<Record>((end + 7) & ~7);
  memory.fill(changetype<usize>(record), 0, RECORD_BYTES);
  record.text = text;
  record.textSize = <u32>size;
  if (!parseHead(record)) return FAULT_HEAD;
  if (!parseNodes(record)) return FAULT_NODES;
  if (!layOut(record)) return FAULT_SUM;
  parsed = changetype<usize>(record);
  return FAULT_NONE;
}

function parseHead(record: Record): bool {
  // The words are compared as little-endian integers: "weft" + "1", "key", "salt", "zone" + "key".
  if (!field() || fieldSize != 5 || load<u32>(fieldAt) != 0x74666577 || load<u8>(fieldAt, 4) != 0x31 || fieldEndsLine) return false;
  record.sum = decimal();
  if (record.sum == 0 || !fieldEndsLine) return false;
  if (!field() || fieldSize != 3 || word(3) != 0x79656b || fieldEndsLine) return false;
  record.keyKind = keyKind();
  if (record.keyKind > KEY_COOKIE || fieldEndsLine != (record.keyKind == KEY_NONE)) return false;
  if (record.keyKind != KEY_NONE) {
    if (!field()) return false;
    record.keyName = fieldAt;
    record.keyNameSize = fieldSize;
    if (!fieldEndsLine) {
      if (record.keyKind != KEY_COOKIE || !field() || !fieldEndsLine) return false;
      record.attributes = fieldAt;
      record.attributesSize = fieldSize;
    }
  }
  if (!field() || fieldSize != 4 || load<u32>(fieldAt) != 0x746c6173 || fieldEndsLine) return false;
  if (!field() || !fieldEndsLine) return false;
  record.saltHash = fnvZero(fnv(FNV_START, fieldAt, fieldSize));
  return parseZoneKey(record);
}

function parseZoneKey(record: Record): bool {
  const start = at;
  if (!field()) return false;
  if (fieldSize != 7 || load<u32>(fieldAt) != 0x656e6f7a || load<u32>(fieldAt, 3) != 0x79656b65) {
    at = start;
    return true;
  }
  if (fieldEndsLine) return false;
  record.zoneKind = keyKind();
  if (record.zoneKind > KEY_COOKIE || record.zoneKind == KEY_NONE || fieldEndsLine || !field() || !fieldEndsLine) return false;
  record.zoneName = fieldAt;
  record.zoneNameSize = fieldSize;
  return true;
}

function parseNodes(record: Record): bool {
  let node = firstCandidate(record);
  let candidate: Node | null = null;
  let entries: usize = 0;
  while (at < end) {
    if (!field() || fieldSize != 1 || fieldEndsLine) return false;
    const kind = load<u8>(fieldAt);
    const amount = decimal();
    if (amount == 0 || fieldEndsLine || !field() || !fieldEndsLine) return false;
    if (kind == 0x63 /* c */) {
      if (record.candidateCount == <u32>MAX_CANDIDATES || (candidate && candidate.children == 0)) return false;
      record.candidateCount++;
      candidate = node;
    } else {
      if (kind != 0x65 /* e */ || !candidate || entries == MAX_ENTRIES) return false;
      candidate.children++;
      entries++;
    }
    node.hash = fmix64(fnv(FNV_START, fieldAt, fieldSize));
    node.weight = <f64>amount;
    node.start = 0;
    node.width = amount;
    node.name = fieldAt;
    node.nameSize = fieldSize;
    node.children = 0;
    node = changetype<Node>(changetype<usize>(node) + NODE_BYTES);
  }
  parsedEnd = changetype<usize>(node);
  return candidate != null && candidate.children > 0;
}

/** Gives every node its interval. False when the widths do not add up to the sum. */
function layOut(record: Record): bool {
  let total: u64 = 0;
  let candidate = firstCandidate(record);
  for (let index: u32 = 0; index < record.candidateCount; index++) {
    const start = total;
    let entry = firstEntry(candidate);
    for (let child: u32 = 0; child < candidate.children; child++) {
      entry.start = <u32>total;
      total += entry.width;
      entry = nextNode(entry);
    }
    candidate.start = <u32>start;
    candidate.width = <u32>(total - start);
    candidate = nextNode(candidate);
  }
  return total == record.sum;
}

/** Reads the next field; false when it is empty, holds a control character, or the text ends before its separator. */
function field(): bool {
  fieldAt = at;
  while (at < end) {
    const byte = load<u8>(at);
    if (byte <= 0x20 || byte == 0x7f) {
      fieldSize = <u32>(at - fieldAt);
      fieldEndsLine = byte == 0x0a;
      at++;
      return fieldSize > 0 && (fieldEndsLine || byte == 0x20);
    }
    at++;
  }
  return false;
}

/** The field's first bytes as a little-endian number; fields of less than four bytes are followed by their separator and more. */
function word(size: u32): u32 {
  return load<u32>(fieldAt) & ((1 << (size << 3)) - 1);
}

/** Reads a field that is a canonical decimal from 1 to 2^32 - 1; 0 when it is not. */
function decimal(): u32 {
  if (!field() || fieldSize > 10 || load<u8>(fieldAt) == 0x30) return 0;
  let value: u64 = 0;
  for (let digitAt = fieldAt, fieldEnd = fieldAt + fieldSize; digitAt < fieldEnd; digitAt++) {
    const digit = <u32>load<u8>(digitAt) - 0x30;
    if (digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value >> 32 == 0 ? <u32>value : 0;
}

/** Reads `none`, `header` or `cookie`; something above KEY_COOKIE when it is none of them. */
function keyKind(): u32 {
  if (field()) {
    const start = load<u32>(fieldAt);
    if (fieldSize == 4 && start == 0x656e6f6e) return KEY_NONE;
    if (fieldSize == 6 && start == 0x64616568 && load<u16>(fieldAt, 4) == 0x7265) return KEY_HEADER;
    if (fieldSize == 6 && start == 0x6b6f6f63 && load<u16>(fieldAt, 4) == 0x6569) return KEY_COOKIE;
  }
  return KEY_COOKIE + 1;
}
