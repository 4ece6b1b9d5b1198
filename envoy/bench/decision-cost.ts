// Nanoseconds per decision, outside Envoy: once with every host call played by the fake host, once with replies that lie ready in the filter's memory,
// which leaves the decision itself and the crossings between WebAssembly and JavaScript. V8 is Envoy's engine too; its host calls cost more (route-cost.ts).
import { readFile } from "node:fs/promises";
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { decisionRequest, startFakeEnvoy } from "../../filter/host.ts";
import { median } from "./statistics.ts";

export interface DecisionCost {
  readonly name: string;
  readonly hostCalls: number;
  readonly nanosecondsWithHostCalls: number;
  readonly nanosecondsAlone: number;
}

const BATCHES = 15;
const BATCH = 40_000;
const ENTROPY = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
/** 64 users, so that the branches of a sticky choice are not all predicted. */
const USERS = Array.from({ length: 64 }, (_, index) => `user-${String(index).padStart(3, "0")}`);
const KEYS = [
  { name: "random", key: { kind: "none" } },
  { name: "sticky by header", key: { kind: "header", name: "x-user" } },
] as const;

function recordOf(key: DecisionRecord["key"]): DecisionRecord {
  return {
    key,
    salt: "default/backend/primary",
    candidates: [
      { weight: 90, identity: "backend|80|stable", entries: [{ width: 90, cluster: "stable" }] },
      { weight: 10, identity: "backend|80|canary", entries: [{ width: 10, cluster: "canary" }] },
    ],
  };
}

/** Measures the built filter. */
export async function measureDecisionCost(wasmPath: string): Promise<readonly DecisionCost[]> {
  const costs: DecisionCost[] = [];
  for (const { name, key } of KEYS) {
    const metadata = encodeDecisionRecord(recordOf(key));
    const envoy = await startFakeEnvoy(wasmPath, ENTROPY);
    envoy.configure("{}");
    const requests = USERS.map((user) => decisionRequest(metadata, { "x-user": user }));
    const nanosecondsWithHostCalls = timePerCall(cycling(requests, (request) => envoy.request(request)));
    const before = sum(envoy.calls.values());
    envoy.request(decisionRequest(metadata, { "x-user": "user-000" }));
    const hostCalls = sum(envoy.calls.values()) - before;
    costs.push({ name, hostCalls, nanosecondsWithHostCalls, nanosecondsAlone: timePerCall(await preparedDecision(wasmPath, metadata)) });
  }
  return costs;
}

function timePerCall(call: () => unknown): number {
  const batches = Array.from({ length: BATCHES }, () => {
    const start = process.hrtime.bigint();
    for (let index = 0; index < BATCH; index++) call();
    return Number(process.hrtime.bigint() - start) / BATCH;
  });
  return median(batches);
}

function cycling<Item>(items: readonly Item[], use: (item: Item) => void): () => void {
  let turn = 0;
  return () => {
    const item = items[turn++ % items.length];
    if (item !== undefined) use(item);
  };
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((total, number) => total + number, 0);
}

interface Reply {
  readonly at: number;
  readonly size: number;
}

/** One call of the filter, whose host answers by pointing at bytes that it has laid out before at the end of the memory, where only explain writes. */
async function preparedDecision(wasmPath: string, metadata: { readonly id: string; readonly decision: string }): Promise<() => void> {
  let words = new DataView(new ArrayBuffer(0));
  let place = (_text: string): Reply => ({ at: 0, size: 0 });
  const prepare = () => ({ id: place(metadata.id), decision: place(metadata.decision), users: USERS.map((user) => place(user)) });
  let replies = prepare();
  let turn = 0;
  const point = (reply: Reply, atAt: number, sizeAt: number): number => {
    words.setUint32(atAt, reply.at, true);
    words.setUint32(sizeAt, reply.size, true);
    return 0;
  };
  const ignored = (): number => 0;
  const env = {
    // The path's last byte tells the two properties apart: …weft, id and …weft, decision.
    proxy_get_property: (path = 0, size = 0, at = 0, sizeAt = 0) =>
      point(words.getUint8(path + size - 1) === "d".charCodeAt(0) ? replies.id : replies.decision, at, sizeAt),
    proxy_get_header_map_value: (_map = 0, _name = 0, _size = 0, at = 0, sizeAt = 0) => point(replies.users[turn++ % USERS.length] ?? replies.id, at, sizeAt),
    proxy_replace_header_map_value: ignored,
    proxy_get_buffer_bytes: () => 1,
    proxy_set_property: ignored,
    proxy_define_metric: ignored,
    proxy_increment_metric: ignored,
    proxy_log: ignored,
    proxy_send_local_response: ignored,
  };
  const { instance } = await WebAssembly.instantiate(await readFile(wasmPath), { env, wasi_snapshot_preview1: { random_get: ignored } });
  const { memory, proxy_on_configure: configure, proxy_on_request_headers: decide } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof configure !== "function" || typeof decide !== "function") throw new Error("the filter lacks an export");
  words = new DataView(memory.buffer);
  place = placesFrom(memory.buffer.byteLength - 4_096, new Uint8Array(memory.buffer));
  replies = prepare();
  configure(1, 0);
  return () => decide(2, 5, 1);
}

/** Writes each text behind the one before it. */
function placesFrom(start: number, memory: Uint8Array): (text: string) => Reply {
  let next = start;
  return (text) => {
    const bytes = Buffer.from(text);
    const at = next;
    memory.set(bytes, at);
    next += (bytes.length + 7) & ~7;
    return { at, size: bytes.length };
  };
}
