// The host's calls that the filter uses, in terms of (pointer, size) and results, and the literals that go with them.
// Source: proxy-wasm ABI 0.2.1. Host calls are what a filter costs: a reply makes the host call `malloc` here, which alone takes longer than a decision.
import {
  proxy_define_metric,
  proxy_get_buffer_bytes,
  proxy_get_header_map_value,
  proxy_get_property,
  proxy_increment_metric,
  proxy_log,
  proxy_replace_header_map_value,
  proxy_send_local_response,
  proxy_set_property,
} from "@solo-io/proxy-runtime/assembly/imports";

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
declare function random_get(bytes: usize, size: usize): u32;

const REQUEST_HEADERS: i32 = 0;
const PLUGIN_CONFIGURATION: i32 = 7;
const COUNTER: i32 = 0;
const WARN: usize = 3;
const NO_GRPC_STATUS: u32 = -1;

/** What a headers callback returns. */
export const CONTINUE: u32 = 0;
export const STOP_ITERATION: u32 = 1;

/** The literals, as bytes: AssemblyScript's are UTF-16. Filled once, when the module starts. */
const LITERAL_BYTES = 2048;
const literals = memory.data(LITERAL_BYTES, 8);
let literalsTop: usize = literals;

/** An ASCII text with its size before it: `size u32 | bytes`. */
export type Literal = usize;

/** Makes bytes of an ASCII literal. `~` stands for a zero byte. Only for module constants. */
export function literal(text: string): Literal {
  const start = literalsTop + 4;
  const size = text.length;
  store<u32>(literalsTop, size);
  for (let index = 0; index < size; index++) {
    const character = load<u16>(changetype<usize>(text) + (index << 1));
    store<u8>(start + index, character == 0x7e ? 0 : character);
  }
  literalsTop = (start + size + 3) & ~3;
  return start;
}

/** How many bytes a literal has. */
export function literalSize(text: Literal): usize {
  return load<u32>(text - 4);
}

// The host writes a reply's address and size here.
const reply = memory.data(8, 8);

/** Address of the last reply; valid until the callback returns. */
export function replyAt(): usize {
  return load<u32>(reply);
}

/** Size of the last reply in bytes; 0 when the call failed. */
export function replySize(): usize {
  return load<u32>(reply, 4);
}

function replied(result: u32): bool {
  if (result != 0) store<u64>(reply, 0);
  return result == 0;
}

/** Reads a property into the reply. False when there is none, or when it is larger than the arena. */
export function readProperty(path: Literal): bool {
  return replied(proxy_get_property(path, literalSize(path), reply, reply + 4));
}

/** Reads a request header (the first of several) into the reply. */
export function readHeader(name: usize, size: usize): bool {
  return replied(proxy_get_header_map_value(REQUEST_HEADERS, name, size, reply, reply + 4));
}

/** Reads the plugin's configuration into the reply; only while it is being configured. */
export function readConfiguration(size: u32): bool {
  return replied(proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, reply, reply + 4));
}

/** Sets a request header, which also makes the host choose the route anew: ABI 0.2.1 does so by itself. */
export function replaceHeader(name: Literal, value: usize, size: usize): void {
  proxy_replace_header_map_value(REQUEST_HEADERS, name, literalSize(name), value, size);
}

/** Sets the filter state `wasm.<name>`, which a route can print as `%FILTER_STATE(wasm.<name>:PLAIN)%`. */
export function setFilterState(name: Literal, value: usize, size: usize): void {
  proxy_set_property(name, literalSize(name), value, size);
}

/** Defines a counter, `wasmcustom.<name>` in Envoy's statistics, and gives its id. */
export function defineCounter(name: Literal): u32 {
  proxy_define_metric(COUNTER, name, literalSize(name), reply);
  return load<u32>(reply);
}

/** Adds one to a counter. */
export function count(counter: u32): void {
  proxy_increment_metric(counter, 1);
}

/** Writes a warning to the proxy's log. */
export function warn(text: usize, size: usize): void {
  proxy_log(WARN, text, size);
}

/** 64 bits from the host's entropy, or 0 when it gives none. */
export function entropy(): u64 {
  store<u64>(reply, 0);
  random_get(reply, 8);
  return load<u64>(reply);
}

// Header pairs as the ABI wants them: `count u32 | (name size u32, value size u32)… | name, 0, value, 0 …`
const jsonHeaders = memory.data(64, 8);
const CONTENT_TYPE = literal("content-type~application/json~");

/** Answers the request with 200 and a JSON body. */
export function answerJson(body: usize, size: usize): void {
  store<u32>(jsonHeaders, 1);
  store<u32>(jsonHeaders, 12, 4);
  store<u32>(jsonHeaders, 16, 8);
  memory.copy(jsonHeaders + 12, CONTENT_TYPE, literalSize(CONTENT_TYPE));
  proxy_send_local_response(200, 0, 0, body, size, jsonHeaders, 12 + literalSize(CONTENT_TYPE), NO_GRPC_STATUS);
}
