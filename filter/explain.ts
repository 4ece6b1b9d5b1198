// The answer of an explain listener: which route matched, its record, and what the filter would do with this very request, as JSON.
import { Literal, answerJson, literal, literalSize, readProperty, replyAt, replySize } from "./abi";
import { pageStart } from "./arena";
import { decide, keyHash, nodeAt } from "./decide";
import { random } from "./hash";
import { keyAt, keySize, readKey } from "./keys";
import { hexDigit, writeDecimal, writeHex } from "./digits";
import { Record, firstCandidate, firstEntry } from "./record";
import { fault, idAt, idSize, readRecord, textAt, textSize } from "./route";

const ROUTE_PATH = literal("xds~route_name");
const CLUSTER_PATH = literal("xds~cluster_name");
const ZONE_PATH = literal("xds~node~locality~zone");

const NULL = literal("null");

// One literal instead of a dozen: each costs 20 bytes and two of every character.
const MEMBERS = literal('{"route":~,"cluster":~,"id":~,"record":~,"recordError":~,"key":~,"hash":~,"zoneKey":~,"pick":~,"candidate":~,"entry":~,"zone":~');
const ROUTE: u32 = 0;
const CLUSTER: u32 = 1;
const ID: u32 = 2;
const RECORD: u32 = 3;
const RECORD_ERROR: u32 = 4;
const KEY: u32 = 5;
const HASH: u32 = 6;
const ZONE_KEY: u32 = 7;
const PICK: u32 = 8;
const CANDIDATE: u32 = 9;
const ENTRY: u32 = 10;
const ZONE: u32 = 11;

// In the order of the FAULT_ constants; the first, FAULT_NONE, is empty.
const FAULTS = literal("~the id is not 16 characters~no decision, or too large~the decision is above 16384 bytes~the decision does not hash to the id~bad line before the candidates~bad candidate or entry, or too many~the widths do not add up to the sum~");

const MAX_ZONE_BYTES: usize = 256;
const zone = memory.data(256, 8);
let zoneSize: usize = 0;
const hex = memory.data(16, 8);
let to: usize = 0;

/** Keeps the proxy's own zone; once, when configured, since reading the node is slow. */
export function readZone(): void {
  zoneSize = readProperty(ZONE_PATH) ? min(replySize(), MAX_ZONE_BYTES) : 0;
  memory.copy(zone, replyAt(), zoneSize);
}

/** Answers the request instead of letting it go on. */
export function explain(): void {
  to = pageStart;
  putProperty(ROUTE, ROUTE_PATH);
  putProperty(CLUSTER, CLUSTER_PATH);
  const record = readRecord(true);
  putText(ID, idAt, idSize);
  if (record) putText(RECORD, record.text, record.textSize);
  else putText(RECORD, textAt, textSize);
  const reason = nth(FAULTS, fault);
  putText(RECORD_ERROR, reason, record || idSize == 0 ? 0 : sizeToZero(reason));
  putDecision(record);
  putText(ZONE, zone, zoneSize);
  putByte(0x7d /* } */);
  answerJson(pageStart, to - pageStart);
}

/** What the filter would do; without a cookie none is generated, so the pick is then one of many that could be. */
function putDecision(record: Record | null): void {
  if (!record) {
    for (let member = KEY; member < ZONE; member++) putText(member, 0, 0);
    return;
  }
  readKey(record.keyKind, record.keyName, record.keyNameSize);
  const key = keyAt;
  const size = keySize;
  putText(KEY, key, size);
  writeHex(hex, keyHash(record, key, size));
  putText(HASH, hex, size > 0 ? 16 : 0);
  readKey(record.zoneKind, record.zoneName, record.zoneNameSize);
  putText(ZONE_KEY, keyAt, keySize);
  const pick = decide(record, key, size, keyAt, keySize, <u32>random());
  const candidate = nodeAt(firstCandidate(record), pick);
  const entry = nodeAt(firstEntry(candidate), pick);
  putMember(PICK);
  to += writeDecimal(to, pick);
  putText(CANDIDATE, candidate.name, candidate.nameSize);
  putText(ENTRY, entry.name, entry.nameSize);
}

/** The n-th of texts that each end with a zero byte. */
function nth(texts: Literal, n: u32): usize {
  let text = texts;
  for (; n > 0; n--) text += sizeToZero(text) + 1;
  return text;
}

function sizeToZero(text: usize): usize {
  let end = text;
  while (load<u8>(end) != 0) end++;
  return end - text;
}

function putProperty(member: u32, path: Literal): void {
  const found = readProperty(path);
  putText(member, replyAt(), found ? replySize() : 0);
}

/** A member whose value is a string, or null when it is empty. */
function putText(member: u32, text: usize, size: usize): void {
  putMember(member);
  if (size == 0) put(NULL, literalSize(NULL));
  else putQuoted(text, size);
}

function putMember(member: u32): void {
  const name = nth(MEMBERS, member);
  put(name, sizeToZero(name));
}

function put(text: usize, size: usize): void {
  memory.copy(to, text, size);
  to += size;
}

function putByte(byte: u32): void {
  store<u8>(to++, byte);
}

/** A JSON string. Bytes that are not UTF-8 (a header may hold any) stand as the Latin-1 characters that they most likely are. */
function putQuoted(text: usize, size: usize): void {
  putByte(0x22);
  const end = text + size;
  while (text < end) {
    const byte: u32 = load<u8>(text);
    const length = utf8Length(text, end);
    if (byte < 0x20 || byte == 0x7f || length == 0) putUnicode(byte);
    else {
      if (byte == 0x22 || byte == 0x5c) putByte(0x5c);
      put(text, length);
    }
    text += max(length, 1);
  }
  putByte(0x22);
}

function putUnicode(byte: u32): void {
  putByte(0x5c);
  putByte(0x75);
  putByte(0x30);
  putByte(0x30);
  putByte(hexDigit(byte >> 4));
  putByte(hexDigit(byte));
}

/** Bytes of the UTF-8 character at `text`; 0 when it is none (RFC 3629, section 4). */
function utf8Length(text: usize, end: usize): usize {
  const lead: u32 = load<u8>(text);
  if (lead < 0x80) return 1;
  const length: usize = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || text + length > end) return 0;
  for (let index: usize = 1; index < length; index++) {
    if ((load<u8>(text + index) & 0xc0) != 0x80) return 0;
  }
  const second: u32 = load<u8>(text, 1);
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
  return length;
}
