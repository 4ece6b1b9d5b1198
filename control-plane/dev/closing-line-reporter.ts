// A vitest reporter that prints the run's closing line, and refuses skipped tests where nothing may be skipped.
import { appendFileSync, writeSync } from "node:fs";
import type { UserConsoleLog } from "vitest";
import type { Reporter, TestModule } from "vitest/node";
import { privateKeysIn } from "../test/private-keys.ts";

/** Skipped tests of these names are fine with CI=true: what they need is not part of the project. */
const MAY_SKIP = /\(needs conformance data\)/;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function count(modules: readonly TestModule[], unhandled: number): Counts & { readonly wronglySkipped: readonly string[] } {
  const counts: Counts = { passed: 0, failed: unhandled, skipped: 0 };
  const wronglySkipped: string[] = [];
  for (const module of modules) {
    if (module.errors().length > 0) counts.failed += module.errors().length;
    for (const test of module.children.allTests()) {
      const state = test.result().state;
      if (state === "passed" || state === "failed") counts[state]++;
      else {
        counts.skipped++;
        if (!MAY_SKIP.test(test.fullName)) wronglySkipped.push(`${module.relativeModuleId}: ${test.fullName}`);
      }
    }
  }
  return { ...counts, wronglySkipped };
}

/**
 * Prints `N passed, N failed` (`, N skipped` where there are any) as the last line; with CI=true a skipped test is a failed one.
 * Where WEFT_TALLY names a file, the two numbers are added to it, for the sum of several runs.
 */
export class ClosingLineReporter implements Reporter {
  private readonly leaks: string[] = [];

  /** What tests and the programs that they start print is searched for private keys. */
  onUserConsoleLog({ content, taskId }: UserConsoleLog): void {
    const found = privateKeysIn(content);
    if (found.length > 0) this.leaks.push(`private key leaked: ${taskId ?? "a test"} printed ${found.join(", ")}`);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const { passed, failed, skipped, wronglySkipped } = count(modules, unhandledErrors.length);
    const refused = process.env.CI === "true" ? wronglySkipped : [];
    for (const leak of this.leaks) writeSync(1, `${leak}\n`);
    for (const name of refused) writeSync(1, `skipped, which CI does not allow: ${name}\n`);
    if (refused.length + this.leaks.length > 0 || failed > 0) process.exitCode = 1;
    const { WEFT_TALLY: tally, WEFT_KUBERNETES: kubernetes } = process.env;
    if (tally !== undefined) appendFileSync(tally, `${passed} ${failed + refused.length + this.leaks.length}\n`);
    const elsewhere = kubernetes === "1" ? "" : "The tests on a real Kubernetes API server are a run of their own: npm run test:kubernetes\n";
    const closing = `${passed} passed, ${failed + refused.length + this.leaks.length} failed${skipped - refused.length > 0 ? `, ${skipped - refused.length} skipped` : ""}`;
    process.once("exit", () => writeSync(1, `${elsewhere}${closing}\n`));
  }
}

// vitest loads a custom reporter by its default export.
// biome-ignore lint/style/noDefaultExport: vitest's contract for reporter files.
export default ClosingLineReporter;
