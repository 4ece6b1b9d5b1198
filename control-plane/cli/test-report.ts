// The results of routing tests as text for people, as JSON, and as JUnit's XML for continuous integration. Pure.
import type { Origin } from "../model/diagnostic.ts";
import type { Difference } from "./routing-test-check.ts";
import type { Style } from "./style.ts";

/** One test that was run. */
export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly origin: Origin;
  readonly passed: boolean;
  readonly differences: readonly Difference[];
  /** What the request became, and why it did not become something else. */
  readonly because: readonly string[];
}

/** All results of one run. */
export interface TestRun {
  readonly results: readonly TestResult[];
  readonly elapsedMs: number;
}

/** Failing tests in full, and one line at the end. */
export function testText({ results, elapsedMs }: TestRun, style: Style): string {
  const failed = results.filter(({ passed }) => !passed);
  const blocks = failed.map(({ name, origin, differences, because }) =>
    [
      `${style.red("FAIL")} ${style.bold(name)} (${origin.file}:${origin.line})`,
      ...differences.flatMap(({ field, expected, actual }) => [`  ${field}`, `    expected  ${style.green(expected)}`, `    actual    ${style.red(actual)}`]),
      ...because.map((line) => `  ${style.dim(line)}`),
    ].join("\n"),
  );
  const counts = `${results.length - failed.length} passed${failed.length === 0 ? "" : `, ${failed.length} failed`}`;
  return [...blocks, `${failed.length === 0 ? style.green(counts) : style.red(counts)} in ${Math.max(1, Math.round(elapsedMs))} ms`].join("\n\n");
}

/** A list of all results with their differences. */
export function testJson({ results }: TestRun): string {
  const failed = results.filter(({ passed }) => !passed).length;
  return JSON.stringify({ passed: results.length - failed, failed, results }, undefined, 2);
}

/** Source: the JUnit XML that Jenkins, GitLab and GitHub actions read: a testsuite for each file, a testcase for each test. */
export function testJunit({ results, elapsedMs }: TestRun): string {
  const suites = [...new Set(results.map(({ file }) => file))].map((file) => {
    const own = results.filter((result) => result.file === file);
    const cases = own.map(
      ({ name, passed, differences, because, origin }) =>
        `    <testcase classname="${xml(file)}" name="${xml(name)}" file="${xml(origin.file)}" line="${origin.line}">${passed ? "" : failureXml(differences, because)}</testcase>`,
    );
    const failures = own.filter(({ passed }) => !passed).length;
    return [`  <testsuite name="${xml(file)}" tests="${own.length}" failures="${failures}" errors="0" skipped="0">`, ...cases, "  </testsuite>"].join("\n");
  });
  const failures = results.filter(({ passed }) => !passed).length;
  const head = `<testsuites name="weft test" tests="${results.length}" failures="${failures}" time="${(elapsedMs / 1_000).toFixed(3)}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...suites, "</testsuites>"].join("\n");
}

function failureXml(differences: readonly Difference[], because: readonly string[]): string {
  const lines = differences.map(({ field, expected, actual }) => `${field}: expected ${expected}, got ${actual}`);
  return `<failure message="${xml(lines[0] ?? "failed")}">${xml([...lines, ...because].join("\n"))}</failure>`;
}

/** Characters that XML 1.0 cannot hold at all become `?`. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "?")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\n", "&#10;");
}
