// The exports that the host calls, and no others: each export is a call per stream (proxy-wasm ABI 0.2.1).
// What the plugin's configuration asks for holds for the whole VM, so a configuration that explains or traps needs a `vm_id` of its own.
import { CONTINUE, STOP_ITERATION, entropy, literal, literalSize, readConfiguration, readHeader, replaceHeader, replyAt, replySize } from "./abi";
import { allocate, rewind } from "./arena";
import { decide } from "./decide";
import { writeDecimal } from "./digits";
import { explain, readZone } from "./explain";
import { random, seed } from "./hash";
import { generateCookie, keyAt, keySize, readKey } from "./keys";
import { KEY_NONE, Record } from "./record";
import { countRejected, defineCounters, readRecord } from "./route";

const PICK_HEADER = literal("x-weft-pick");
const EXPLAIN = literal("explain");
const TRAP = literal("trap");
const TRAP_HEADER = literal("weft-test-trap");
const pick = memory.data(16, 8);

let seeded = false;
let explains = false;
let traps = false;

/** Marks the module as one of this ABI. */
export function proxy_abi_version_0_2_1(): void {}

/** Where the host writes its replies. */
export function malloc(size: usize): usize {
  return allocate(size);
}

/** Reads the plugin's configuration: `explain` answers every request instead of passing it on, `trap` is for tests, anything else decides. */
export function proxy_on_configure(_root: u32, size: u32): u32 {
  rewind();
  if (!seeded) seed(entropy());
  seeded = true;
  const known = size > 0 && readConfiguration(size);
  explains = known && contains(EXPLAIN);
  traps = known && contains(TRAP);
  defineCounters();
  if (explains) readZone();
  return 1;
}

/** Writes the pick of the request's route. Without a readable record the request goes on without one, and Envoy picks by weight. */
export function proxy_on_request_headers(_context: u32, _headers: u32, _endOfStream: u32): u32 {
  rewind();
  if (explains) {
    explain();
    return STOP_ITERATION;
  }
  if (traps && readHeader(TRAP_HEADER, literalSize(TRAP_HEADER))) unreachable();
  const record = readRecord(false);
  if (record) writePick(record);
  else countRejected();
  return CONTINUE;
}

function writePick(record: Record): void {
  let key: usize = 0;
  let size: usize = 0;
  let zoneKeySize: usize = 0;
  if (record.keyKind != KEY_NONE) {
    readKey(record.keyKind, record.keyName, record.keyNameSize);
    if (keySize == 0 && record.attributesSize > 0) generateCookie(record);
    key = keyAt;
    size = keySize;
  }
  if (record.zoneKind != KEY_NONE) {
    readKey(record.zoneKind, record.zoneName, record.zoneNameSize);
    zoneKeySize = keySize;
  }
  const point = decide(record, key, size, keyAt, zoneKeySize, <u32>random());
  replaceHeader(PICK_HEADER, pick, writeDecimal(pick, point));
}

/** Whether the configuration, which was just read, has this word in it. */
function contains(word: usize): bool {
  const size = literalSize(word);
  for (let at = replyAt(), end = replyAt() + replySize(); at + size <= end; at++) {
    if (memory.compare(at, word, size) == 0) return true;
  }
  return false;
}
