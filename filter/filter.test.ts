// What the filter does with keys, with records that it must not trust, and with its memory: the built filter in the fake host.
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type DecisionRecord,
  decisionId,
  encodeDecisionRecord,
  entryOfPick,
  RECORD_LIMITS,
  stickyCandidate,
} from "../control-plane/translate/decision-record.ts";
import { buildFilter } from "./build.ts";
import { decisionRequest, type FakeEnvoy, type FakeRequest, pickOf, startFakeEnvoy } from "./host.ts";

const SEED = Uint8Array.of(9, 30, 9, 0, 80, 15, 1, 6);
console.log(`filter seed ${SEED}`);
const REJECTED = "weft_record_rejected";

let path = "";
let envoy: FakeEnvoy;

beforeAll(async () => {
  path = (await buildFilter()).path;
});

beforeEach(async () => {
  envoy = await startFakeEnvoy(path, SEED);
  envoy.configure("{}");
});

const canary: DecisionRecord = {
  key: { kind: "header", name: "x-user" },
  salt: "default/web/primary",
  candidates: [
    { weight: 90, identity: "web|80|stable", entries: [{ width: 90, cluster: "stable" }] },
    { weight: 10, identity: "web|80|canary", entries: [{ width: 10, cluster: "canary" }] },
  ],
};
const byCookie: DecisionRecord = { ...canary, key: { kind: "cookie", name: "user" } };

/** The subsets that many requests like this one reach. */
function reached(request: FakeRequest, record = canary): ReadonlySet<string | undefined> {
  return new Set(Array.from({ length: 200 }, () => entryOfPick(record, pickOf(envoy.request(request)))?.entry.cluster));
}

describe("a key", () => {
  it("that is absent or empty leaves the choice to chance", () => {
    const encoded = encodeDecisionRecord(canary);
    expect(reached(decisionRequest(encoded)).size).toBe(2);
    expect(reached(decisionRequest(encoded, { "x-user": "" })).size).toBe(2);
    expect(reached(decisionRequest(encoded, { "x-user": "u" })).size).toBe(1);
  });

  it("is found among other cookies, by its whole name", () => {
    const expected = byCookie.candidates[stickyCandidate(byCookie, "u7")]?.entries[0]?.cluster;
    const encoded = encodeDecisionRecord(byCookie);
    for (const cookie of ["user=u7", "a=b; user=u7", "a=b;user=u7;c=d", "xuser=no; user=u7 ; b=c", "userx=no; user=u7", "a; =; user=u7", "user=u7; user=no"]) {
      expect(reached(decisionRequest(encoded, { cookie }), byCookie)).toEqual(new Set([expected]));
    }
    for (const cookie of ["", "user", "user=", "xuser=u7", "User=u7", "us=u7", "a=user=u7", ";", "user =u7"]) {
      expect(reached(decisionRequest(encoded, { cookie }), byCookie).size).toBe(2);
    }
  });

  it("larger than the arena counts as absent", () => {
    expect(reached(decisionRequest(encodeDecisionRecord(canary), { "x-user": "u".repeat(200_000) })).size).toBe(2);
  });

  it("is made up as a cookie for a client that has none, and holds from the first request", () => {
    const record: DecisionRecord = { ...byCookie, key: { kind: "cookie", name: "user", attributes: "Path=/;Max-Age=3600" } };
    const encoded = encodeDecisionRecord(record);
    const values = new Set<string>();
    for (let client = 0; client < 1_000; client++) {
      const outcome = envoy.request(decisionRequest(encoded, { cookie: "theme=dark" }));
      const [, value = ""] = /^user=([0-9a-f]{16});Path=\/;Max-Age=3600$/.exec(outcome.filterState.ck ?? "") ?? [];
      values.add(value);
      expect(entryOfPick(record, pickOf(outcome))?.candidate).toBe(record.candidates[stickyCandidate(record, value)]);
    }
    expect(values.size).toBe(1_000);
    expect(envoy.request(decisionRequest(encoded, { cookie: "user=mine" })).filterState).toEqual({});
  });
});

/** A record of its own for every number, so that none is known by its id. */
function numbered(number: number): { readonly id: string; readonly decision: string } {
  return encodeDecisionRecord({ ...canary, salt: `record-${number}` });
}

describe("a record that is not what its id says", () => {
  it("goes unused when any one bit of it is altered, and is counted", () => {
    const bits = 8 * numbered(0).decision.length;
    for (let bit = 0; bit < bits; bit++) {
      const { id, decision } = numbered(1_000_000 + bit);
      const altered = Buffer.from(decision);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(pickOf(envoy.request(decisionRequest({ id, decision: altered })))).toBeNaN();
    }
    expect(envoy.counter(REJECTED)).toBe(bits);
  });

  it("goes unused when it is cut short anywhere, and is counted", () => {
    const length = numbered(0).decision.length;
    for (let size = 0; size < length; size++) {
      const { id, decision } = numbered(1_000_000 + size);
      expect(pickOf(envoy.request(decisionRequest({ id, decision: decision.slice(0, decision.length - 1 - size) })))).toBeNaN();
    }
    expect(envoy.counter(REJECTED)).toBe(length);
  });
});

describe("a record whose id is right and whose text is wrong", () => {
  it("never traps, altered in any bit or cut short anywhere", () => {
    const whole = Buffer.from(encodeDecisionRecord({ ...canary, zoneKey: { kind: "cookie", name: "z" } }).decision);
    let used = 0;
    const send = (text: Buffer) => {
      const pick = pickOf(envoy.request(decisionRequest({ id: idOfBytes(text), decision: text }, { "x-user": "u", cookie: "z=1" })));
      if (!Number.isNaN(pick)) used++;
    };
    for (let size = 0; size < whole.length; size++) send(whole.subarray(0, size));
    expect(used).toBe(0);
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const altered = Buffer.from(whole);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      send(altered);
    }
    expect(envoy.counter(REJECTED)).toBe(9 * whole.length - used);
    // A letter of a name may change and the record still be one.
    expect(used).toBeGreaterThan(0);
  });
});

/** FNV-1a 64 over bytes that need not be UTF-8. */
function idOfBytes(bytes: Buffer): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}

/** A record with as many candidates and entries as asked for. */
function sized(candidateCount: number, entryCount: number): string {
  const entries = (candidate: number) => Math.floor(entryCount / candidateCount) + (candidate < entryCount % candidateCount ? 1 : 0);
  const lines = Array.from({ length: candidateCount }, (_, candidate) => [`c 1 i${candidate}`, ...Array(entries(candidate)).fill(`e 3 n`)].join("\n"));
  return `weft1 ${3 * entryCount}\nkey header x-user\nsalt s\n${lines.join("\n")}\n`;
}

describe("the limits of a record", () => {
  const longest = (textBytes: number) => {
    const rest = "weft1 3\nkey header x-user\nsalt \nc 1 i\ne 3 n\n";
    return rest.replace("salt ", `salt ${"s".repeat(textBytes - rest.length)}`);
  };

  it.each([
    ["64 candidates", sized(RECORD_LIMITS.candidates, RECORD_LIMITS.candidates), true],
    ["65 candidates", sized(RECORD_LIMITS.candidates + 1, RECORD_LIMITS.candidates + 1), false],
    ["256 entries", sized(RECORD_LIMITS.candidates, RECORD_LIMITS.entries), true],
    ["257 entries", sized(RECORD_LIMITS.candidates, RECORD_LIMITS.entries + 1), false],
    ["16,384 bytes", longest(RECORD_LIMITS.textBytes), true],
    ["16,385 bytes", longest(RECORD_LIMITS.textBytes + 1), false],
    ["more than the arena", longest(100 * 1024), false],
    ["10 MB", longest(10_000_000), false],
    ["nothing", "", false],
  ])("%s: %#", (_, decision, accepted) => {
    const pick = pickOf(envoy.request(decisionRequest({ id: decisionId(decision), decision }, { "x-user": "u" })));
    expect(!Number.isNaN(pick)).toBe(accepted);
    expect(envoy.counter(REJECTED)).toBe(accepted ? 0 : 1);
  });
});

describe("a route's metadata", () => {
  it.each([
    ["no metadata", {}],
    ["an id alone", { "xds.route_metadata.filter_metadata.weft.id": "0123456789abcdef" }],
    ["a short id", { "xds.route_metadata.filter_metadata.weft.id": "0123", "xds.route_metadata.filter_metadata.weft.decision": numbered(1).decision }],
    ["a decision alone", { "xds.route_metadata.filter_metadata.weft.decision": numbered(1).decision }],
  ])("with %s leaves the request as it is and is counted", (_, properties) => {
    for (let request = 1; request <= 3; request++) {
      expect(envoy.request({ properties, headers: {} })).toEqual({ action: 0, set: {}, filterState: {} });
      expect(envoy.counter(REJECTED)).toBe(request);
    }
  });

  it("is read once per record, also where the record is refused, and a refusal is looked at again in time", () => {
    const { id, decision } = numbered(1);
    const reads = () => envoy.calls.get("proxy_get_property") ?? 0;
    const bad = decisionRequest({ id, decision: `${decision}!` });
    envoy.request(bad);
    const first = reads();
    for (let request = 0; request < 500; request++) envoy.request(bad);
    expect(reads()).toBe(first + 500);
    expect(envoy.log).toEqual([`weft: decision record refused, Envoy picks by weight: ${id}`]);
    const good = decisionRequest({ id, decision });
    const picks = Array.from({ length: 2_000 }, () => pickOf(envoy.request(good)));
    expect(picks.at(-1)).toBeLessThan(100);
  });
});

describe("memory", () => {
  it("stays as it is over 1,000,000 requests and 1,000 changes of the record", () => {
    const pages = envoy.memoryPages();
    const keys: readonly DecisionRecord["key"][] = [
      { kind: "none" },
      { kind: "header", name: "x-user" },
      { kind: "cookie", name: "user", attributes: "Path=/" },
    ];
    let undecided = 0;
    let settled = 0;
    for (let change = 0; change < 1_000; change++) {
      const record: DecisionRecord = { ...canary, key: keys[change % 3] ?? { kind: "none" }, salt: `change-${String(change).padStart(4, "0")}` };
      const request = decisionRequest(encodeDecisionRecord(record), { "x-user": "someone", cookie: "a=b" });
      for (let index = 0; index < 1_000; index++) undecided += pickOf(envoy.request(request)) < 100 ? 0 : 1;
      // After one record of each kind nothing is new: not one reply may lie higher than those before.
      if (change === 2) settled = envoy.arenaTop();
    }
    expect(undecided).toBe(0);
    expect(envoy.counter(REJECTED)).toBe(0);
    expect(envoy.memoryPages()).toBe(pages);
    expect(envoy.arenaTop()).toBe(settled);
  });

  it("drops the records when they fill it, and reads them again", () => {
    const requests = Array.from({ length: 10_000 }, (_, number) => decisionRequest(numbered(number), { "x-user": "u" }));
    for (const request of [...requests, ...requests.slice(0, 100)]) expect(pickOf(envoy.request(request))).toBeLessThan(100);
    expect(envoy.memoryPages()).toBe(32);
  });
});

describe("two workers", () => {
  it("draw differently, each from the entropy of its host", async () => {
    const other = await startFakeEnvoy(path, Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1));
    other.configure("{}");
    const request = decisionRequest(encodeDecisionRecord({ ...canary, key: { kind: "none" } }));
    const draws = [envoy, other].map((worker) => Array.from({ length: 50 }, () => pickOf(worker.request(request))));
    expect(draws[0]).not.toEqual(draws[1]);
  });
});

describe("explain", () => {
  it("writes JSON whatever bytes a request holds", () => {
    envoy.configure("explain");
    const { id, decision } = numbered(1);
    const invalid = [
      [0x00],
      [0x1f, 0x7f],
      [0x22, 0x5c, 0x2f],
      [0xc3],
      [0xc3, 0xa9],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf0, 0x9f, 0x98, 0x80],
      [0xff],
    ];
    for (const bytes of invalid) {
      const { response } = envoy.request(decisionRequest({ id, decision }, { "x-user": Uint8Array.from(bytes) }));
      const key: unknown = JSON.parse(response?.body ?? "").key;
      const text = Buffer.from(bytes).toString("utf8");
      expect(key).toBe(text.includes("\ufffd") ? Buffer.from(bytes).toString("latin1") : text);
    }
  });

  it("answers within its memory where everything is as large as it can be", () => {
    envoy.configure("explain");
    const { response } = envoy.request(decisionRequest({ id: "0123456789abcdef", decision: "\u0001".repeat(90_000) }, { "x-user": "\u0001".repeat(90_000) }));
    expect(JSON.parse(response?.body ?? "")).toMatchObject({ recordError: "the decision is above 16384 bytes", pick: null });
    const large = envoy.request(decisionRequest(numbered(1), { "x-user": "\u0001".repeat(80_000) }));
    expect(JSON.parse(large.response?.body ?? "").key).toHaveLength(80_000);
  });
});

describe("the trap for tests", () => {
  it("exists only where the configuration asks for it", () => {
    const request = { ...decisionRequest(numbered(1)), headers: { "weft-test-trap": "1", "x-user": "u" } };
    expect(pickOf(envoy.request(request))).toBeLessThan(100);
    envoy.configure("trap");
    expect(() => envoy.request(request)).toThrow(WebAssembly.RuntimeError);
  });
});
