// Whatever stands in a document, reading, checking and analyzing it gives findings: never an exception, never a hang.
import fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { analyze } from "../analyze/analyze.ts";
import { KNOWN_KINDS, type KnownKind } from "../source/kinds.ts";
import { parseFile } from "../source/parse-file.ts";
import { validate } from "./validate.ts";

/** As much of zod's definitions as values are made of. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly entries?: Readonly<Record<string, string>>;
  readonly options?: readonly z.core.$ZodType[];
}

function isDefinition(value: object): value is Definition {
  return "type" in value;
}

/** Texts that parsers stumble over, and some that are right. */
const AWKWARD = [
  "",
  "*",
  "**",
  "*.",
  ".",
  "..",
  "/",
  "//",
  "a",
  "reviews",
  "reviews.default.svc.cluster.local",
  "*.example.com",
  "10.0.0.0/8",
  "::1",
  "::/129",
  "unix://",
  "unix:///a",
  "%",
  "%%",
  "%REQ(",
  '%REQ(["',
  "[",
  "(?=a)",
  "a{9999}",
  "(((",
  "@request.auth.claims[",
  "{**}",
  "{*}/{**}",
  "~",
  "~/",
  "./*",
  "mesh",
  "0",
  "-1",
  "65536",
  "1e400",
  "NaN",
  "true",
  "5s",
  "1h1h",
  "0.5ms",
  "http://",
  "http://[",
  "oci://a b",
  "__proto__",
  "constructor",
  "toString",
  "\u0000",
  "\ud800",
  "a".repeat(300),
  "é",
  "\t",
  "a=b",
  "-----BEGIN CERTIFICATE-----",
];
const text = fc.oneof(fc.constantFrom(...AWKWARD), fc.string({ maxLength: 12 }), fc.constantFrom("ISTIO_MUTUAL", "SIMPLE", "HTTPS", "HTTP", "TCP"));
const number = fc.oneof(fc.constantFrom(0, 1, 80, 100, -1, 65_535, 65_536, 2 ** 32, 0.5, 1e21), fc.integer({ min: 0, max: 100 }));
const anything = fc.jsonValue({ maxDepth: 3 });

/** Values that mostly fit a schema, so that the rules behind it are reached. */
function fitting(schema: z.core.$ZodType, depth = 0): fc.Arbitrary<unknown> {
  const definition: object = schema._zod.def;
  if (!isDefinition(definition)) return anything;
  const { type, shape, element, valueType, entries, options } = definition;
  const inner = definition.innerType ?? definition.in;
  if (inner !== undefined) return type === "optional" ? fc.option(fitting(inner, depth), { nil: undefined, freq: depth < 4 ? 2 : 1 }) : fitting(inner, depth);
  switch (type) {
    case "object":
      return fc.record(Object.fromEntries(Object.entries(shape ?? {}).map(([name, child]) => [name, fitting(child, depth + 1)])), { requiredKeys: [] });
    case "array":
      return element === undefined ? anything : fc.array(fitting(element, depth + 1), { maxLength: depth < 3 ? 2 : 1 });
    case "record":
      return valueType === undefined ? anything : fc.dictionary(text, fitting(valueType, depth + 1), { maxKeys: 2 });
    case "enum":
      return fc.constantFrom(...Object.values(entries ?? { none: "none" }));
    case "union":
      return fc.oneof(...(options ?? []).map((option) => fitting(option, depth + 1)));
    case "string":
      return text;
    case "number":
    case "int":
      return number;
    case "boolean":
      return fc.boolean();
    default:
      return anything;
  }
}

function documentOf({ kind, group, versions }: KnownKind, spec: unknown): string {
  const metadata = { name: "fuzz", annotations: { "istio.io/dry-run": "true" } };
  return JSON.stringify({ apiVersion: group === "" ? versions[0] : `${group}/${versions[0]}`, kind, metadata, spec });
}

/** Everything that a document goes through at load. */
function load(document: string): number {
  const parsed = parseFile("fuzz.yaml", document);
  return (
    parsed.diagnostics.length + validate(parsed.resources).length + parsed.broken.flatMap(({ meant }) => (meant === undefined ? [] : validate([meant]))).length
  );
}

describe("any document", () => {
  it.each(KNOWN_KINDS.map((known) => [known.kind, known] as const))("of kind %s is read and checked without an exception", (_, known) => {
    fc.assert(
      fc.property(anything, (spec) => load(documentOf(known, spec)) >= 0),
      { numRuns: 60, seed: 4 },
    );
  });

  it.each(KNOWN_KINDS.map((known) => [known.kind, known] as const))("that nearly is a %s is read, checked and analyzed without an exception", (_, known) => {
    const spec = fitting(known.schema).map((document) => (typeof document === "object" && document !== null && "spec" in document ? document.spec : {}));
    fc.assert(
      fc.property(spec, (value) => {
        const document = documentOf(known, value);
        return load(document) >= 0 && analyze(new Map([["fuzz.yaml", document]]), { platform: "istio", nowMs: 0 }).length >= 0;
      }),
      { numRuns: 60, seed: 4 },
    );
  });
});

describe("any regular expression", () => {
  const PLACES: readonly (readonly [string, (regex: string) => object])[] = [
    ["uri", (regex) => ({ match: [{ uri: { regex } }] })],
    ["headers", (regex) => ({ match: [{ headers: { "x-a": { regex } } }] })],
    ["queryParams", (regex) => ({ match: [{ queryParams: { a: { regex } } }] })],
    ["withoutHeaders", (regex) => ({ match: [{ withoutHeaders: { "x-a": { regex } } }] })],
    ["corsPolicy", (regex) => ({ corsPolicy: { allowOrigins: [{ regex }] } })],
    ["uriRegexRewrite", (regex) => ({ rewrite: { uriRegexRewrite: { match: regex, rewrite: "/" } } })],
  ];

  it.each(PLACES)("in %s that RE2 would refuse is refused at load", (_, route) => {
    const regexes = fc.oneof(fc.constantFrom("(?=a)", "\\1", "a++", "(?<a>b", "[z-a]", "x{2,1}", "(", "\\8", "a**", "(?!b)c"), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(regexes, (regex) => {
        const http = [{ ...route(regex), route: [{ destination: { host: "a" } }] }];
        const document = { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata: { name: "a" }, spec: { hosts: ["a"], http } };
        const parsed = parseFile("a.yaml", JSON.stringify(document));
        const isRefused = [...parsed.diagnostics, ...validate(parsed.resources)].some(({ severity }) => severity === "error");
        expect(isRefused || isRe2(regex)).toBe(true);
      }),
      { numRuns: 100, seed: 4, examples: [["(?=a)"], ["\\1"]] },
    );
  });
});

function isRe2(regex: string): boolean {
  try {
    RE2JS.compile(regex);
    return true;
  } catch {
    // `*` where headers are excluded asks for presence.
    return regex === "*";
  }
}
