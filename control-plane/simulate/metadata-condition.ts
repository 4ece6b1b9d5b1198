// Conditions on dynamic metadata: what filters before the router have written about a request.
import type { MetadataMatcher } from "../gen/envoy/type/matcher/v3/metadata_pb.js";
import type { ValueMatcher } from "../gen/envoy/type/matcher/v3/value_pb.js";
import { type FailedCondition, matchesString, wordsOf } from "./condition.ts";
import type { SimulatedRequest } from "./request.ts";

/** What is wrong with a request's metadata by this matcher. */
export function metadataFailure(matcher: MetadataMatcher, request: SimulatedRequest): FailedCondition | undefined {
  const keys = matcher.path.map(({ segment }) => segment.value ?? "");
  const actual = keys.reduce<unknown>(member, request.dynamicMetadata?.[matcher.filter]);
  const test = matcher.value === undefined ? undefined : valueTest(matcher.value);
  if (test === undefined) return { kind: "unsupported", name: matcher.filter, expected: "a kind of value that is not simulated", actual: undefined };
  if (test.holds(actual) !== matcher.invert) return undefined;
  return {
    kind: "metadata",
    name: [matcher.filter, ...keys].join("."),
    expected: matcher.invert ? `not ${test.words}` : test.words,
    actual: actual === undefined ? undefined : JSON.stringify(actual),
  };
}

interface ValueTest {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

/** Undefined for a kind of value that is not simulated. */
function valueTest({ matchPattern: pattern }: ValueMatcher): ValueTest | undefined {
  switch (pattern.case) {
    case "stringMatch":
      return { words: wordsOf(pattern.value), holds: (value) => typeof value === "string" && matchesString(pattern.value, value) };
    case "boolMatch":
      return { words: String(pattern.value), holds: (value) => value === pattern.value };
    case "presentMatch":
      return { words: pattern.value ? "present" : "absent", holds: (value) => (value !== undefined) === pattern.value };
    case "nullMatch":
      return { words: "null", holds: (value) => value === null };
    case "listMatch": {
      const entry = pattern.value.matchPattern.case === "oneOf" ? valueTest(pattern.value.matchPattern.value) : undefined;
      return entry && { words: `a list with ${entry.words}`, holds: (value) => Array.isArray(value) && value.some(entry.holds) };
    }
    case "orMatch": {
      const tests = pattern.value.valueMatchers.map(valueTest);
      const known = tests.filter((test): test is ValueTest => test !== undefined);
      if (known.length < tests.length) return undefined;
      return { words: known.map(({ words }) => words).join(" or "), holds: (value) => known.some((test) => test.holds(value)) };
    }
    case "doubleMatch":
    case undefined:
      return undefined;
  }
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}
