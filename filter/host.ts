// A fake Envoy: loads the built filter and plays the host of one worker's VM, as proxy-wasm-cpp-host does. Requests go in, what the filter did comes out.
import { readFile } from "node:fs/promises";

declare global {
  // What this file needs of WebAssembly: Node's types leave it to the DOM's, which this project does not load.
  namespace WebAssembly {
    type ExportValue = Memory | ((...args: number[]) => unknown) | undefined;
    class Memory {
      private constructor();
      readonly buffer: ArrayBuffer;
    }
    class RuntimeError extends Error {}
    function instantiate(
      bytes: Uint8Array,
      imports: Readonly<Record<string, Readonly<Record<string, (...args: number[]) => number>>>>,
    ): Promise<{ readonly instance: { readonly exports: Readonly<Record<string, ExportValue>> } }>;
  }
}

/** A request as the filter sees it. */
export interface FakeRequest {
  /** Properties by path, parts joined with dots: `xds.route_metadata.filter_metadata.weft.id`. */
  readonly properties: Readonly<Record<string, string | Uint8Array>>;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | Uint8Array>>;
}

/** A response that the filter sent by itself. */
export interface LocalResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What the filter did with one request. */
export interface FakeOutcome {
  /** What the callback returned: 0 continue, 1 stop. */
  readonly action: number;
  /** Request headers that it set. */
  readonly set: Readonly<Record<string, string>>;
  /** Filter states that it set, by name without `wasm.`. */
  readonly filterState: Readonly<Record<string, string>>;
  readonly response?: LocalResponse;
}

/** One VM with the filter in it. */
export interface FakeEnvoy {
  /** Gives the filter its plugin configuration, as often as wanted. */
  configure(configuration: string): void;
  /** Sends one request through it. Throws WebAssembly.RuntimeError when it traps. */
  request(request: FakeRequest): FakeOutcome;
  /** Value of a counter that the filter defined. */
  counter(name: string): number;
  /** Lines that the filter logged. */
  readonly log: readonly string[];
  /** Size of its memory, in pages of 64 KiB. */
  memoryPages(): number;
  /** The highest address that it ever gave out for a reply. */
  arenaTop(): number;
  /** How often each host function was called. */
  readonly calls: ReadonlyMap<string, number>;
}

const OK = 0;
const NOT_FOUND = 1;
const INVALID_MEMORY_ACCESS = 6;
const PLUGIN_CONFIGURATION = 7;

/** What the host functions work on; mutable, since a VM is a live thing. */
interface HostState {
  request: FakeRequest;
  configuration: Uint8Array;
  set: Record<string, string>;
  filterState: Record<string, string>;
  response: LocalResponse | undefined;
  arenaTop: number;
  readonly log: string[];
  readonly counters: { readonly name: string; value: number }[];
  readonly calls: Map<string, number>;
}

/** The filter's side: its memory and its `malloc`, known once it is instantiated. */
interface FilterSide {
  bytes: Uint8Array;
  words: DataView;
  malloc: (size: number) => number;
}

type HostFunction = (...args: number[]) => number;
type Callback = (...args: number[]) => number;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A request on a route whose metadata carry this record. */
export function decisionRequest(metadata: { readonly id: string; readonly decision: string | Uint8Array }, headers: FakeRequest["headers"] = {}): FakeRequest {
  const path = "xds.route_metadata.filter_metadata.weft";
  return { properties: { [`${path}.id`]: metadata.id, [`${path}.decision`]: metadata.decision }, headers };
}

/** The pick that the filter wrote, NaN when it wrote none. Throws when it did anything else than letting the request go on. */
export function pickOf(outcome: FakeOutcome): number {
  if (outcome.action !== 0 || outcome.response !== undefined) throw new Error("the request was stopped");
  return Number(outcome.set["x-weft-pick"] ?? Number.NaN);
}

/** Loads a built filter. `entropy` is what WASI's random_get answers, so that runs repeat. */
export async function startFakeEnvoy(wasmPath: string, entropy: Uint8Array): Promise<FakeEnvoy> {
  const state: HostState = {
    request: { properties: {}, headers: {} },
    configuration: new Uint8Array(),
    set: {},
    filterState: {},
    response: undefined,
    arenaTop: 0,
    log: [],
    counters: [],
    calls: new Map(),
  };
  const filter: FilterSide = { bytes: new Uint8Array(), words: new DataView(new ArrayBuffer(0)), malloc: () => 0 };
  const functions = hostFunctions(state, filter, entropy);
  const imports = {
    env: counted(functions.env, state.calls),
    wasi_snapshot_preview1: counted(functions.wasi, state.calls),
  };
  const { instance } = await WebAssembly.instantiate(await readFile(wasmPath), imports);
  const memory = memoryExport(instance.exports.memory);
  filter.bytes = new Uint8Array(memory.buffer);
  filter.words = new DataView(memory.buffer);
  filter.malloc = callbackExport(instance.exports.malloc);
  const onConfigure = callbackExport(instance.exports.proxy_on_configure);
  const onRequestHeaders = callbackExport(instance.exports.proxy_on_request_headers);
  let context = 1;

  return {
    configure(configuration) {
      state.configuration = encoder.encode(configuration);
      if (onConfigure(1, state.configuration.length) !== 1) throw new Error("the filter refused its configuration");
    },
    request(request) {
      state.request = request;
      state.set = {};
      state.filterState = {};
      state.response = undefined;
      const action = onRequestHeaders(++context, Object.keys(request.headers).length, 1);
      return { action, set: state.set, filterState: state.filterState, ...(state.response ? { response: state.response } : {}) };
    },
    counter: (name) => state.counters.find((counter) => counter.name === name)?.value ?? Number.NaN,
    log: state.log,
    memoryPages: () => memory.buffer.byteLength / 65_536,
    arenaTop: () => state.arenaTop,
    calls: state.calls,
  };
}

/** The host functions that the filter imports, with the results of ABI 0.2.1. */
function hostFunctions(state: HostState, filter: FilterSide, entropy: Uint8Array) {
  const bytes = (at: number, size: number) => filter.bytes.subarray(at, at + size);
  const text = (at: number, size: number) => decoder.decode(bytes(at, size));
  const answer = (value: string | Uint8Array | undefined, atAt: number, sizeAt: number) => reply(state, filter, value, atAt, sizeAt);
  const env: Record<string, HostFunction> = {
    proxy_get_property: (path = 0, size = 0, atAt = 0, sizeAt = 0) =>
      answer(state.request.properties[text(path, size).replaceAll("\0", ".")], atAt, sizeAt),
    proxy_get_header_map_value: (_map = 0, name = 0, size = 0, atAt = 0, sizeAt = 0) => answer(state.request.headers[text(name, size)], atAt, sizeAt),
    proxy_get_buffer_bytes: (kind = 0, _start = 0, _length = 0, atAt = 0, sizeAt = 0) =>
      answer(kind === PLUGIN_CONFIGURATION ? state.configuration : undefined, atAt, sizeAt),
    proxy_replace_header_map_value(_map = 0, name = 0, nameSize = 0, value = 0, valueSize = 0) {
      state.set[text(name, nameSize)] = text(value, valueSize);
      return OK;
    },
    proxy_set_property(name = 0, nameSize = 0, value = 0, valueSize = 0) {
      state.filterState[text(name, nameSize)] = text(value, valueSize);
      return OK;
    },
    proxy_define_metric(_kind = 0, name = 0, size = 0, idAt = 0) {
      const known = state.counters.findIndex((counter) => counter.name === text(name, size));
      filter.words.setUint32(idAt, known >= 0 ? known : state.counters.push({ name: text(name, size), value: 0 }) - 1, true);
      return OK;
    },
    // Its offset is an i64, hence a BigInt here, so it is given no type of its own: one request counts once.
    proxy_increment_metric(id = 0) {
      const counter = state.counters[id];
      if (!counter) return NOT_FOUND;
      counter.value++;
      return OK;
    },
    proxy_log(_level = 0, at = 0, size = 0) {
      state.log.push(text(at, size));
      return OK;
    },
    proxy_send_local_response(status = 0, _details = 0, _detailsSize = 0, body = 0, bodySize = 0, pairs = 0, pairsSize = 0) {
      state.response = { status, headers: headerPairs(bytes(pairs, pairsSize)), body: new TextDecoder("utf-8", { fatal: true }).decode(bytes(body, bodySize)) };
      return OK;
    },
  };
  const wasi: Record<string, HostFunction> = {
    random_get(at = 0, size = 0) {
      bytes(at, size).set(entropy.subarray(0, size));
      return OK;
    },
  };
  return { env, wasi };
}

/** Hands a value to the filter through its own `malloc`, as the host does: without room for it, the call fails. */
function reply(state: HostState, filter: FilterSide, value: string | Uint8Array | undefined, atAt: number, sizeAt: number): number {
  if (value === undefined) return NOT_FOUND;
  const content = typeof value === "string" ? encoder.encode(value) : value;
  const at = content.length === 0 ? 0 : filter.malloc(content.length);
  if (content.length > 0 && at === 0) return INVALID_MEMORY_ACCESS;
  filter.bytes.set(content, at);
  filter.words.setUint32(atAt, at, true);
  filter.words.setUint32(sizeAt, content.length, true);
  state.arenaTop = Math.max(state.arenaTop, at + content.length);
  return OK;
}

/** Header pairs as the ABI passes them: count, sizes, then names and values, each ended by a zero byte. */
function headerPairs(pairs: Uint8Array): Readonly<Record<string, string>> {
  const words = new DataView(pairs.buffer, pairs.byteOffset, pairs.byteLength);
  const count = words.getUint32(0, true);
  const headers: Record<string, string> = {};
  let at = 4 + 8 * count;
  const next = (size: number) => {
    const part = decoder.decode(pairs.subarray(at, at + size));
    if (pairs[at + size] !== 0) throw new Error("a header pair is not ended by a zero byte");
    at += size + 1;
    return part;
  };
  for (let index = 0; index < count; index++) {
    const name = next(words.getUint32(4 + 8 * index, true));
    headers[name] = next(words.getUint32(8 + 8 * index, true));
  }
  return headers;
}

function counted(functions: Readonly<Record<string, HostFunction>>, calls: Map<string, number>): Record<string, HostFunction> {
  return Object.fromEntries(
    Object.entries(functions).map(([name, run]) => [
      name,
      (...args: number[]) => {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return run(...args);
      },
    ]),
  );
}

function memoryExport(value: WebAssembly.ExportValue): WebAssembly.Memory {
  if (value instanceof WebAssembly.Memory) return value;
  throw new Error("the filter exports no memory");
}

function callbackExport(value: WebAssembly.ExportValue): Callback {
  if (typeof value === "function") return (...args) => Number(value(...args));
  throw new Error("the filter lacks an export");
}
