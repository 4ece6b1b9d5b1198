// Regular expressions by RE2's rules: matching the whole text, and replacing every match, as Envoy calls it.
import { RE2JS } from "re2js";
import type { RegexMatchAndSubstitute } from "../gen/envoy/type/matcher/v3/regex_pb.js";

/** Compiled once per pattern text: one simulation asks for the same few patterns thousands of times. */
const compiled = new Map<string, RE2JS>();
const COMPILED_MAX = 1_000;

function compile(pattern: string): RE2JS {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const regex = RE2JS.compile(pattern);
  if (compiled.size >= COMPILED_MAX) compiled.clear();
  compiled.set(pattern, regex);
  return regex;
}

/** Whether the pattern matches the whole text. Throws where RE2 refuses the pattern: Envoy refuses such a configuration as a whole. */
export function matchesWhole(pattern: string, text: string): boolean {
  return compile(pattern).matches(text);
}

/** Replaces every match; `\0` to `\9` in the substitution are its groups. Source: RE2::GlobalReplace. Throws as `matchesWhole`. */
export function replaceMatches(rewrite: RegexMatchAndSubstitute, text: string): string {
  const matcher = compile(rewrite.pattern?.regex ?? "").matcher(text);
  let result = "";
  let at = 0;
  let lastEnd = -1;
  while (at <= text.length && matcher.find(at)) {
    const start = matcher.start();
    const end = matcher.end();
    result += text.slice(at, start);
    if (start === lastEnd && start === end) {
      // An empty match right after the last one counts for nothing: one character is copied instead.
      const character = String.fromCodePoint(text.codePointAt(start) ?? 0);
      if (start < text.length) result += character;
      at = start + character.length;
      continue;
    }
    result += substitution(rewrite.substitution, (group) => (group <= matcher.groupCount() ? (matcher.group(group) ?? "") : ""));
    at = end;
    lastEnd = end;
  }
  return result + text.slice(at);
}

function substitution(template: string, group: (index: number) => string): string {
  return template.replace(/\\(.)/g, (_, escaped: string) => (/\d/.test(escaped) ? group(Number(escaped)) : escaped));
}
