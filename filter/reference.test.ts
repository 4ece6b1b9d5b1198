// The filter against the control plane's reference, on generated records and keys: the same record in both must give the same choice.
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type DecisionRecord,
  decisionId,
  encodeDecisionRecord,
  entryOfPick,
  type KeySource,
  parseDecisionRecord,
  recordSum,
  stickyCandidate,
  stickyEntry,
} from "../control-plane/translate/decision-record.ts";
import { buildFilter } from "./build.ts";
import { decisionRequest, type FakeEnvoy, pickOf, startFakeEnvoy } from "./host.ts";

const SEED = 20221104;
console.log(`filter reference seed ${SEED}`);

let envoy: FakeEnvoy;

beforeAll(async () => {
  envoy = await startFakeEnvoy((await buildFilter()).path, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  envoy.configure("{}");
});

const word = fc.stringMatching(/^[!-:<-~é한]{1,12}$/u);
const keyText = fc.stringMatching(/^[!-:<-~é한]{1,40}$/u);
const source: fc.Arbitrary<KeySource> = fc.record({ kind: fc.constantFrom("header", "cookie"), name: fc.stringMatching(/^x-[a-z]{1,8}$/) });
const entry = fc.record({ width: fc.integer({ min: 1, max: 1_000_000 }), cluster: word });
const candidate = fc.record({ weight: fc.integer({ min: 1, max: 2 ** 32 - 1 }), identity: word, entries: fc.array(entry, { minLength: 1, maxLength: 4 }) });
const candidates = fc.uniqueArray(candidate, { minLength: 1, maxLength: 8, selector: ({ identity }) => identity });
const salt = fc.string({ minLength: 1, maxLength: 20, unit: "binary" });
const stickyRecord: fc.Arbitrary<DecisionRecord> = fc.record({ key: source, salt, candidates });

/** The headers of a request that carries this key. */
function carrying(where: KeySource, key: string): Record<string, string> {
  return where.kind === "header" ? { [where.name]: key } : { cookie: `a=b; ${where.name}x=no;${where.name}=${key} ; c=d` };
}

describe("the filter and the reference", () => {
  it("choose the same candidate for a key", () => {
    fc.assert(
      fc.property(stickyRecord, fc.array(keyText, { minLength: 10, maxLength: 10 }), (record, keys) => {
        for (const key of keys) {
          if (record.key.kind === "none") throw new Error("the record is sticky");
          const pick = pickOf(envoy.request(decisionRequest(encodeDecisionRecord(record), carrying(record.key, key))));
          expect(entryOfPick(record, pick)?.candidate).toBe(record.candidates[stickyCandidate(record, key)]);
        }
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  it("choose the same zone for a zone key, whatever chooses the candidate", () => {
    fc.assert(
      fc.property(stickyRecord, fc.boolean(), keyText, keyText, (base, sticky, key, zone) => {
        const record: DecisionRecord = { ...base, key: { kind: sticky ? "header" : "none", name: "x-user" }, zoneKey: { kind: "header", name: "x-zone" } };
        const pick = pickOf(envoy.request(decisionRequest(encodeDecisionRecord(record), { "x-user": key, "x-zone": zone })));
        const found = entryOfPick(record, pick);
        if (!found) throw new Error(`no entry holds ${pick}`);
        if (sticky) expect(found.candidate).toBe(record.candidates[stickyCandidate(record, key)]);
        expect(found.entry).toBe(found.candidate.entries[stickyEntry(record, found.candidate, zone)]);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  it("accept and refuse the same texts", () => {
    const valid = fc
      .tuple(stickyRecord, fc.option(source, { nil: undefined }))
      .map(([record, zoneKey]) => encodeDecisionRecord(zoneKey ? { ...record, zoneKey } : record));
    // Half of these may stand in a name, so that many an edited text is still a record.
    const harmless = fc.constantFrom("", "a", "b7", "é", "한", "%", "%20", "|", ";", "1");
    const harmful = fc.constantFrom(" ", "\n", "0", "4294967295", "c 1 x\n", "e 1 x\n", "key none\n", "zonekey cookie x\n", "\0", "\r", "\u007f", "c", "e");
    const piece = fc.oneof(harmless, harmful);
    const edit = fc.record({ perMille: fc.noBias(fc.integer({ min: 0, max: 999 })), remove: fc.constantFrom(0, 0, 1, 2), insert: piece });
    let accepted = 0;
    fc.assert(
      fc.property(valid, edit, ({ decision }, { perMille, remove, insert }) => {
        const start = Math.floor((perMille * decision.length) / 1000);
        const text = decision.slice(0, start) + insert + decision.slice(start + remove);
        const pick = pickOf(envoy.request(decisionRequest({ id: decisionId(text), decision: text })));
        const parsed = parseDecisionRecord(text);
        expect({ text, accepted: !Number.isNaN(pick) }).toEqual({ text, accepted: parsed.kind === "record" });
        if (parsed.kind === "record") expect(pick).toBeLessThan(recordSum(parsed.record));
        accepted += parsed.kind === "record" ? 1 : 0;
      }),
      { seed: SEED, numRuns: 5_000 },
    );
    console.log(`${accepted} of 5000 edited texts are records`);
    expect(accepted).toBeGreaterThan(500);
  });
});
