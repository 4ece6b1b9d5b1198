// The decision record: what a route with a choice tells the filter, as text in the route's metadata. A record goes in, its text and id come out, and back.
// The filter (filter/record.ts, filter/decide.ts) reads the same text and must choose the same candidate; its tests compare it with the functions below.

/** Where a key is read from. */
export type KeySource = { readonly kind: "header"; readonly name: string } | { readonly kind: "cookie"; readonly name: string };

/** What makes a choice stay: nothing, a header, or a cookie that the filter may generate. */
export type StickyKey =
  | { readonly kind: "none" }
  | { readonly kind: "header"; readonly name: string }
  | {
      readonly kind: "cookie";
      readonly name: string;
      /** `Set-Cookie` attributes without spaces, `Path=/;Max-Age=3600`. Present: a request without the cookie gets one. */
      readonly attributes?: string;
    };

/** One of Envoy's `weighted_clusters` entries; `width` is its weight there. */
export interface RecordEntry {
  readonly width: number;
  readonly cluster: string;
}

/** One choice of the route: a (host, port, subset) with the weight of the YAML. */
export interface RecordCandidate {
  readonly weight: number;
  /** `host|port|subset`: what the sticky hash is taken over, so it must not depend on the list's order. */
  readonly identity: string;
  /** The entries whose intervals, side by side, are the candidate's interval: one, or one per zone. */
  readonly entries: readonly RecordEntry[];
}

/** A route with a choice. The entries of all candidates, in order, are the route's `weighted_clusters`. */
export interface DecisionRecord {
  readonly key: StickyKey;
  /** Keeps the choices of different routes independent of each other: namespace/name/route, or a named group. Never empty. */
  readonly salt: string;
  /** DestinationRule `consistentHash`: the zone inside the candidate follows the hash of this key. */
  readonly zoneKey?: KeySource;
  readonly candidates: readonly RecordCandidate[];
}

/** A record on its way to Envoy: `metadata.filter_metadata.weft` of the route. */
export interface EncodedDecision {
  readonly id: string;
  readonly decision: string;
}

/** The result of reading a record's text. */
export type ParsedDecision = { readonly kind: "record"; readonly record: DecisionRecord } | { readonly kind: "malformed"; readonly reason: string };

/** What the filter holds at most; a record beyond these is refused by the filter and by `encodeDecisionRecord`. */
export const RECORD_LIMITS = { textBytes: 16_384, candidates: 64, entries: 256 } as const;
const U32_MAX = 2 ** 32 - 1;
const UNSAFE = /[^!-~\u0080-\u{10ffff}]/u;

/** Sum of all entries' widths: the pick lies below it. Envoy refuses a sum above 2^32 - 1. */
export function recordSum(record: DecisionRecord): number {
  return record.candidates.reduce((sum, candidate) => sum + candidateWidth(candidate), 0);
}

/**
 * The text and the id that go into the route's metadata. Equal records give equal bytes.
 * Throws a RangeError where a record could not be read back: a name with a space, a width of 0, a sum above 2^32 - 1, a record beyond RECORD_LIMITS.
 */
export function encodeDecisionRecord(record: DecisionRecord): EncodedDecision {
  const lines = [`weft1 ${recordSum(record)}`, `key ${keyFields(record.key)}`, `salt ${encodeSalt(record.salt)}`];
  if (record.zoneKey) lines.push(`zonekey ${keyFields(record.zoneKey)}`);
  for (const candidate of record.candidates) {
    lines.push(`c ${candidate.weight} ${candidate.identity}`);
    for (const entry of candidate.entries) lines.push(`e ${entry.width} ${entry.cluster}`);
  }
  const decision = `${lines.join("\n")}\n`;
  const parsed = parseDecisionRecord(decision);
  if (parsed.kind === "malformed") throw new RangeError(`decision record: ${parsed.reason}`);
  return { id: decisionId(decision), decision };
}

/** The id of a record's text: 16 lower-case hexadecimal digits of FNV-1a 64 over its UTF-8 bytes. */
export function decisionId(text: string): string {
  return fnv1a64(Buffer.from(text)).toString(16).padStart(16, "0");
}

/** Reads a record's text by the rules of the filter: what one refuses, the other refuses. Never throws. */
export function parseDecisionRecord(text: string): ParsedDecision {
  if (Buffer.byteLength(text) > RECORD_LIMITS.textBytes) return malformed(`text above ${RECORD_LIMITS.textBytes} bytes`);
  if (!text.endsWith("\n")) return malformed("last line is not ended");
  const lines = text.slice(0, -1).split("\n");
  const rows = lines.map((line) => line.split(" "));
  const bad = rows.findIndex((fields) => fields.some((field) => field === "" || UNSAFE.test(field)));
  if (bad >= 0) return malformed(`line ${bad + 1}: an empty field or a control character`);
  return parseRows(rows);
}

/** The salt as it stands in the record, which is what the hash is taken over: spaces, controls and `%` percent-encoded. */
export function encodeSalt(salt: string): string {
  return salt.replace(/[^!-$&-~\u0080-\u{10ffff}]/gu, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/**
 * Index of the candidate that a sticky key chooses, by weighted rendezvous hashing: the smallest -ln(u) / weight wins, ties go to the smaller identity.
 * The reference for the filter; it depends neither on the order of the candidates nor on the total of the weights.
 */
export function stickyCandidate(record: DecisionRecord, key: string): number {
  return rendezvous(
    record.salt,
    key,
    record.candidates.map((candidate) => ({ weight: candidate.weight, identity: candidate.identity })),
  );
}

/** Index, within one candidate, of the entry that a zone key chooses: the same hashing over cluster names and widths. */
export function stickyEntry(record: DecisionRecord, candidate: RecordCandidate, zoneKey: string): number {
  return rendezvous(
    record.salt,
    zoneKey,
    candidate.entries.map((entry) => ({ weight: entry.width, identity: entry.cluster })),
  );
}

/** Where a pick falls: the candidate and the entry whose interval holds it, or undefined when it is not below the sum. */
export function entryOfPick(record: DecisionRecord, pick: number): { readonly candidate: RecordCandidate; readonly entry: RecordEntry } | undefined {
  let end = 0;
  for (const candidate of record.candidates) {
    for (const entry of candidate.entries) {
      end += entry.width;
      if (pick < end) return { candidate, entry };
    }
  }
  return undefined;
}

function candidateWidth(candidate: RecordCandidate): number {
  return candidate.entries.reduce((sum, entry) => sum + entry.width, 0);
}

function keyFields(key: StickyKey): string {
  switch (key.kind) {
    case "none":
      return "none";
    case "header":
      return `header ${key.name}`;
    case "cookie":
      return key.attributes === undefined ? `cookie ${key.name}` : `cookie ${key.name} ${key.attributes}`;
  }
}

type Rows = readonly (readonly string[])[];

function parseRows(rows: Rows): ParsedDecision {
  const [head = [], keyRow = [], saltRow = [], zoneRow = []] = rows;
  const sum = head[0] === "weft1" && head.length === 2 ? parseU32(head[1]) : undefined;
  if (sum === undefined) return malformed("line 1 is not `weft1 <sum>`");
  const key = keyRow[0] === "key" ? parseKey(keyRow.slice(1)) : undefined;
  if (key === undefined) return malformed("line 2 is not a key");
  const salt = saltRow[0] === "salt" && saltRow.length === 2 ? saltRow[1] : undefined;
  if (salt === undefined) return malformed("line 3 is not `salt <text>`");
  const hasZoneKey = zoneRow[0] === "zonekey";
  const zoneKey = hasZoneKey ? parseKey(zoneRow.slice(1)) : undefined;
  if (hasZoneKey && (zoneKey === undefined || zoneKey.kind === "none" || zoneRow.length !== 3)) return malformed("line 4 is not a zone key");
  const candidates = parseCandidates(rows, hasZoneKey ? 4 : 3);
  if (typeof candidates === "string") return malformed(candidates);
  const record: DecisionRecord = {
    key,
    salt: decodeSalt(salt),
    ...(zoneKey !== undefined && zoneKey.kind !== "none" ? { zoneKey: { kind: zoneKey.kind, name: zoneKey.name } } : {}),
    candidates,
  };
  if (recordSum(record) !== sum) return malformed(`the widths add up to ${recordSum(record)}, not to ${sum}`);
  return { kind: "record", record };
}

function parseKey(fields: readonly string[]): StickyKey | undefined {
  const [kind, name, attributes] = fields;
  if (kind === "none" && fields.length === 1) return { kind };
  if (name === undefined || fields.length > 3) return undefined;
  if (kind === "header" && attributes === undefined) return { kind, name };
  if (kind === "cookie") return attributes === undefined ? { kind, name } : { kind, name, attributes };
  return undefined;
}

/** The candidates from line `first` on, or why they are refused. */
function parseCandidates(rows: Rows, first: number): readonly RecordCandidate[] | string {
  const candidates: { weight: number; identity: string; entries: RecordEntry[] }[] = [];
  let entryCount = 0;
  for (let line = first; line < rows.length; line++) {
    const [word, amountText, name, ...rest] = rows[line] ?? [];
    const amount = parseU32(amountText);
    if (amount === undefined || name === undefined || rest.length > 0) return `line ${line + 1} is neither a candidate nor an entry`;
    const candidate = candidates.at(-1);
    if (word === "c" && candidate?.entries.length !== 0) candidates.push({ weight: amount, identity: name, entries: [] });
    else if (word === "e" && candidate !== undefined) {
      candidate.entries.push({ width: amount, cluster: name });
      entryCount++;
    } else return `line ${line + 1} is out of place`;
  }
  if (candidates.at(-1)?.entries.length === 0) return "the last candidate has no entry";
  if (candidates.length === 0) return "no candidate";
  if (candidates.length > RECORD_LIMITS.candidates) return `above ${RECORD_LIMITS.candidates} candidates`;
  if (entryCount > RECORD_LIMITS.entries) return `above ${RECORD_LIMITS.entries} entries`;
  return candidates;
}

/** A canonical decimal from 1 to 2^32 - 1. */
function parseU32(text: string | undefined): number | undefined {
  if (text === undefined || !/^[1-9][0-9]{0,9}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= U32_MAX ? value : undefined;
}

function decodeSalt(salt: string): string {
  return salt.replace(/%([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function malformed(reason: string): ParsedDecision {
  return { kind: "malformed", reason };
}

function rendezvous(salt: string, key: string, contenders: readonly { readonly weight: number; readonly identity: string }[]): number {
  const keyHash = fnv1a64(Buffer.concat([Buffer.from(encodeSalt(salt)), Buffer.of(0), Buffer.from(key)]));
  const ranked = contenders.map(({ weight, identity }, index) => {
    const hash = fmix64(keyHash ^ fmix64(fnv1a64(Buffer.from(identity))));
    const uniform = (Number(hash >> 11n) + 1) / 2 ** 53;
    return { index, score: -Math.log(uniform) / weight, identity: Buffer.from(identity) };
  });
  ranked.sort((a, b) => a.score - b.score || Buffer.compare(a.identity, b.identity));
  return ranked[0]?.index ?? 0;
}

/** FNV-1a, 64 bits. The prime is 2^40 + 0x1b3, so two halves of 32 bits and doubles do what BigInt would take ten times as long for. */
function fnv1a64(bytes: Uint8Array): bigint {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + (low << 8) + Math.floor(product / 2 ** 32)) >>> 0;
    low = product >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

/** Murmur3's 64-bit finalizer: every bit of the input reaches every bit of the output. */
function fmix64(input: bigint): bigint {
  let hash = input;
  hash ^= hash >> 33n;
  hash = BigInt.asUintN(64, hash * 0xff51afd7ed558ccdn);
  hash ^= hash >> 33n;
  hash = BigInt.asUintN(64, hash * 0xc4ceb9fe1a85ec53n);
  return hash ^ (hash >> 33n);
}
