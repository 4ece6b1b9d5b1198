// The conditions of a route, one by one: a matcher and a request go in, what failed comes out as data, or nothing where it holds.
import type { HeaderMatcher, QueryParameterMatcher } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { StringMatcher } from "../gen/envoy/type/matcher/v3/string_pb.js";
import { matchesWhole } from "./regex.ts";
import { asciiLower, headerValues, queryParameter, type SimulatedRequest } from "./request.ts";

/** A condition that a request does not fulfil. */
export interface FailedCondition {
  readonly kind: "path" | "header" | "query" | "fraction" | "grpc" | "connect" | "tls" | "metadata" | "unsupported";
  /** The header, parameter or runtime key; empty where the kind says it all. */
  readonly name: string;
  /** What the route asks for, in words: `prefix "/api"`. */
  readonly expected: string;
  /** What the request has; undefined where it has none. */
  readonly actual: string | undefined;
}

/** A matcher in words, and whether a value fulfils it; `unsupported` cannot be simulated and holds for nothing. */
interface Test {
  readonly words: string;
  readonly holds: (value: string) => boolean;
  readonly unsupported?: boolean;
}

/** Whether a value fulfils a string matcher. A custom matcher is an extension that only the proxy has: nothing fulfils it. */
export function matchesString(matcher: StringMatcher, value: string): boolean {
  return stringTest(matcher).holds(value);
}

/** A string matcher in words: `prefix "/api" (any case)`. */
export function wordsOf(matcher: StringMatcher): string {
  return stringTest(matcher).words;
}

/**
 * What is wrong with a request's header by this matcher. Of several lines with one name, one that fulfils it is enough, and with an inverted matcher none may
 * (since Envoy 1.39, `match_headers_individually`; before, they were joined by a comma). A missing header fails whatever is asked of its value, inverted or
 * not, unless it counts as empty. Source: header_utility.h, HeaderDataBaseImpl.
 */
export function headerFailure(matcher: HeaderMatcher, request: SimulatedRequest): FailedCondition | undefined {
  const values = headerValues(request, matcher.name);
  const actual = values.length === 0 ? undefined : values.join(",");
  const failed = (words: string, kind: FailedCondition["kind"] = "header"): FailedCondition => ({
    kind,
    name: matcher.name,
    expected: matcher.invertMatch ? `not ${words}` : words,
    actual,
  });
  const specifier = matcher.headerMatchSpecifier;
  if (specifier.case === "presentMatch" || specifier.case === undefined) {
    const present = actual !== undefined || matcher.treatMissingHeaderAsEmpty;
    const wanted = specifier.case === "presentMatch" ? specifier.value : true;
    return (present === wanted) !== matcher.invertMatch ? undefined : failed(wanted ? "present" : "absent");
  }
  const test = headerTest(specifier);
  if (test.unsupported) return failed(test.words, "unsupported");
  const compared = actual === undefined && matcher.treatMissingHeaderAsEmpty ? [""] : values;
  return compared.length > 0 && compared.some(test.holds) !== matcher.invertMatch ? undefined : failed(test.words);
}

/** What is wrong with a request's query parameter; of several with one name, the first counts. */
export function queryFailure(matcher: QueryParameterMatcher, request: SimulatedRequest): FailedCondition | undefined {
  const actual = queryParameter(request.path, matcher.name);
  const specifier = matcher.queryParameterMatchSpecifier;
  if (specifier.case !== "stringMatch") {
    const wanted = specifier.case === "presentMatch" ? specifier.value : true;
    return (actual !== undefined) === wanted ? undefined : { kind: "query", name: matcher.name, expected: wanted ? "present" : "absent", actual };
  }
  const test = stringTest(specifier.value);
  if (actual !== undefined && test.holds(actual)) return undefined;
  return { kind: test.unsupported ? "unsupported" : "query", name: matcher.name, expected: test.words, actual };
}

type HeaderSpecifier = Exclude<HeaderMatcher["headerMatchSpecifier"], { case: "presentMatch" } | { case: undefined }>;

function headerTest(specifier: HeaderSpecifier): Test {
  switch (specifier.case) {
    case "stringMatch":
      return stringTest(specifier.value);
    case "exactMatch":
      // Empty asks for nothing. Source: HeaderDataExactMatch.
      return { words: `exact "${specifier.value}"`, holds: (value) => specifier.value === "" || value === specifier.value };
    case "prefixMatch":
      return { words: `prefix "${specifier.value}"`, holds: (value) => value.startsWith(specifier.value) };
    case "suffixMatch":
      return { words: `suffix "${specifier.value}"`, holds: (value) => value.endsWith(specifier.value) };
    case "containsMatch":
      return { words: `contains "${specifier.value}"`, holds: (value) => value.includes(specifier.value) };
    case "safeRegexMatch":
      return { words: `regex "${specifier.value.regex}"`, holds: (value) => matchesWhole(specifier.value.regex, value) };
    case "rangeMatch": {
      const { start, end } = specifier.value;
      return {
        words: `number from ${start} to below ${end}`,
        holds(value) {
          const number = parseInteger(value);
          return number !== undefined && number >= start && number < end;
        },
      };
    }
  }
}

function stringTest(matcher: StringMatcher): Test {
  const { matchPattern: pattern, ignoreCase } = matcher;
  const fold = (text: string): string => (ignoreCase ? asciiLower(text) : text);
  switch (pattern.case) {
    case "exact":
    case "prefix":
    case "suffix":
    case "contains": {
      const wanted = fold(pattern.value);
      const compare = { exact: equal, prefix: startsWith, suffix: endsWith, contains: includes }[pattern.case];
      return { words: `${pattern.case} "${pattern.value}"${ignoreCase ? " (any case)" : ""}`, holds: (value) => compare(fold(value), wanted) };
    }
    case "safeRegex":
      return { words: `regex "${pattern.value.regex}"`, holds: (value) => matchesWhole(pattern.value.regex, value) };
    case "custom":
    case undefined:
      return { words: `extension ${pattern.value?.name ?? ""}`, holds: () => false, unsupported: true };
  }
}

const equal = (value: string, wanted: string): boolean => value === wanted;
const startsWith = (value: string, wanted: string): boolean => value.startsWith(wanted);
const endsWith = (value: string, wanted: string): boolean => value.endsWith(wanted);
const includes = (value: string, wanted: string): boolean => value.includes(wanted);

/** A 64-bit integer by the rules of absl::SimpleAtoi: spaces around it and a sign are allowed. */
export function parseInteger(text: string): bigint | undefined {
  const digits = /^[ \t\n\v\f\r]*([+-]?\d+)[ \t\n\v\f\r]*$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const value = BigInt(digits.replace(/^\+/, ""));
  return BigInt.asIntN(64, value) === value ? value : undefined;
}
