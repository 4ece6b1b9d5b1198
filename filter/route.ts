// The record of the route that Envoy has matched: by id from the cache, and only on a miss from the route's metadata.
import { count, defineCounter, literal, literalSize, readProperty, replyAt, replySize, warn } from "./abi";
import { allocate } from "./arena";
import { ID_BYTES, findSlot, recordOf, refusedLately, remember, rememberRefusal } from "./cache";
import { FAULT_ID, FAULT_NONE, FAULT_TEXT, Record } from "./record";

const ID_PATH = literal("xds~route_metadata~filter_metadata~weft~id");
const DECISION_PATH = literal("xds~route_metadata~filter_metadata~weft~decision");
const REJECTED = literal("weft_record_rejected");
const REJECTED_LOG = literal("weft: decision record refused, Envoy picks by weight: ");

/** What `readRecord` saw: the id, the text where it was read, and why it was refused. For explain; valid until the callback returns. */
export let idAt: usize = 0;
export let idSize: usize = 0;
export let textAt: usize = 0;
export let textSize: usize = 0;
export let fault: u32 = 0;

let rejected: u32 = 0;

/** Defines the counter of requests that went on without a decision because their route's record was refused. */
export function defineCounters(): void {
  rejected = defineCounter(REJECTED);
}

/** Counts a request whose record was refused. */
export function countRejected(): void {
  count(rejected);
}

/** The record of the request's route, or null. `again`: read a refused record once more, to say what is wrong with it. */
export function readRecord(again: bool): Record | null {
  fault = FAULT_ID;
  idSize = 0;
  textSize = 0;
  if (!readProperty(ID_PATH)) return null;
  idAt = replyAt();
  idSize = replySize();
  if (idSize != ID_BYTES) return null;
  const slot = findSlot(idAt);
  const record = recordOf(slot);
  if (record) {
    fault = FAULT_NONE;
    return record;
  }
  return !again && refusedLately(slot) ? null : readText();
}

function readText(): Record | null {
  if (readProperty(DECISION_PATH)) {
    textAt = replyAt();
    textSize = replySize();
    fault = remember(idAt, textAt, textSize);
    if (fault == FAULT_NONE) return recordOf(findSlot(idAt));
  } else {
    fault = FAULT_TEXT;
    rememberRefusal(idAt);
  }
  logRefusal();
  return null;
}

function logRefusal(): void {
  const size = literalSize(REJECTED_LOG);
  const line = allocate(size + ID_BYTES);
  if (line == 0) return;
  memory.copy(line, REJECTED_LOG, size);
  memory.copy(line + size, idAt, ID_BYTES);
  warn(line, size + ID_BYTES);
}
