// The keys of a request: where a record says that a choice depends on a header or a cookie, its value.
import { literal, literalSize, readHeader, replyAt, replySize, setFilterState } from "./abi";
import { allocate } from "./arena";
import { writeHex } from "./digits";
import { random } from "./hash";
import { KEY_COOKIE, KEY_HEADER, Record } from "./record";

const COOKIE = literal("cookie");
const COOKIE_STATE = literal("ck");
const GENERATED_BYTES: usize = 16;

/** The value that `readKey` found; size 0: absent or empty. Valid until the callback returns. */
export let keyAt: usize = 0;
export let keySize: usize = 0;

/** Looks up a header's or a cookie's value. Of several headers of one name the first counts. */
export function readKey(kind: u32, name: usize, nameSize: usize): void {
  keySize = 0;
  if (kind == KEY_HEADER) {
    if (!readHeader(name, nameSize)) return;
    keyAt = replyAt();
    keySize = replySize();
  } else if (kind == KEY_COOKIE && readHeader(COOKIE, literalSize(COOKIE))) {
    findCookie(replyAt(), replyAt() + replySize(), name, nameSize);
  }
}

/**
 * Makes a cookie up for a client that has none: its value becomes the key, and the route's response headers send it
 * (`set-cookie: %FILTER_STATE(wasm.ck:PLAIN)%`), so that no second callback is needed.
 */
export function generateCookie(record: Record): void {
  const nameSize: usize = record.keyNameSize;
  const attributesSize: usize = record.attributesSize;
  const size = nameSize + 1 + GENERATED_BYTES + 1 + attributesSize;
  const cookie = allocate(size);
  if (cookie == 0) return;
  memory.copy(cookie, record.keyName, nameSize);
  store<u8>(cookie + nameSize, 0x3d /* = */);
  keyAt = cookie + nameSize + 1;
  keySize = GENERATED_BYTES;
  writeHex(keyAt, random());
  store<u8>(keyAt + GENERATED_BYTES, 0x3b /* ; */);
  memory.copy(keyAt + GENERATED_BYTES + 1, record.attributes, attributesSize);
  setFilterState(COOKIE_STATE, cookie, size);
}

/** Finds `name=value` between semicolons (RFC 6265, section 5.4) and sets the key to the value without blanks around it. */
function findCookie(at: usize, end: usize, name: usize, nameSize: usize): void {
  while (at < end) {
    while (at < end && load<u8>(at) == 0x20) at++;
    let pairEnd = at;
    while (pairEnd < end && load<u8>(pairEnd) != 0x3b) pairEnd++;
    const valueAt = at + nameSize + 1;
    if (valueAt <= pairEnd && load<u8>(valueAt - 1) == 0x3d && memory.compare(at, name, nameSize) == 0) {
      let valueEnd = pairEnd;
      while (valueEnd > valueAt && load<u8>(valueEnd - 1) == 0x20) valueEnd--;
      keyAt = valueAt;
      keySize = valueEnd - valueAt;
      return;
    }
    at = pairEnd + 1;
  }
}
