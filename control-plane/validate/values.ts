// Checks of single values that many fields share: durations, percentages, regular expressions, string matches.
import { RE2JS } from "re2js";
import type { StringMatch } from "../model/fields.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

/** A duration that Envoy takes: whole milliseconds, at least one. Source: Istio ValidateDuration. */
export function checkDuration(durationMs: number | undefined, path: FieldPath): readonly Problem[] {
  if (durationMs === undefined) return [];
  if (durationMs < 1) return [error("WEFT0305", path, `${path.at(-1)} must be at least 1ms`, "write a duration such as 500ms or 2s, or remove the field")];
  if (Math.abs(durationMs - Math.round(durationMs)) < 1e-6) return [];
  return [error("WEFT0305", path, `${path.at(-1)} is finer than a millisecond`, `round it: \`${Math.round(durationMs)}ms\``)];
}

/** Istio's share of requests: 0, or at least one in a million. */
export function checkPercentage(percentage: { readonly value: number } | undefined, path: FieldPath): readonly Problem[] {
  if (percentage === undefined || percentage.value === 0 || percentage.value >= 0.0001) return [];
  return [error("WEFT0306", [...path, "value"], `a share of ${percentage.value} % is finer than 0.0001 %`, "use 0, or at least 0.0001")];
}

/** Istio's limit; Envoy counts the compiled program instead, which is longer. */
const MAX_REGEX = 1024;

/** Why Envoy would refuse this regular expression. */
function regexFault(regex: string): string | undefined {
  if (regex === "") return "a regular expression must not be empty";
  if (regex.length > MAX_REGEX) return `a regular expression has at most ${MAX_REGEX} characters, and this one has ${regex.length}`;
  try {
    RE2JS.compile(regex);
    return undefined;
  } catch (cause) {
    return `"${regex}" is not a regular expression that Envoy (RE2) takes: ${cause instanceof Error ? cause.message.replace(/\.$/, "") : cause}`;
  }
}

/** A regular expression at `path`. */
export function checkRegex(regex: string, path: FieldPath): readonly Problem[] {
  const fault = regexFault(regex);
  return fault === undefined
    ? []
    : [error("WEFT0312", path, fault, "RE2 has no look-around and no back-references; see https://github.com/google/re2/wiki/Syntax")];
}

/** A StringMatch at `path`. Envoy takes an empty prefix for paths alone. */
export function checkStringMatch(match: StringMatch | undefined, path: FieldPath, emptyPrefix: "allowed" | "refused" = "refused"): readonly Problem[] {
  if (match?.kind === "regex") return checkRegex(match.value, [...path, "regex"]);
  if (match?.kind !== "prefix" || match.value !== "" || emptyPrefix === "allowed") return [];
  return [error("WEFT0313", [...path, "prefix"], "an empty prefix matches everything", "remove this condition, or write the prefix")];
}
