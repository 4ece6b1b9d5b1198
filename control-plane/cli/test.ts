// `weft test`: unit tests of routing. Files of tests and the mesh's YAML come in, each request is answered in memory, and what is not as expected goes out.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buildFilter } from "../../filter/build.ts";
import { type FilterInstance, loadFilter } from "../simulate/decide.ts";
import type { PassedOver } from "../what-if/passed.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { diagnosticText } from "./diagnostic-text.ts";
import { stepLines, tokenOf } from "./explain-authorization.ts";
import { parseRequest } from "./explain-request.ts";
import { filesAt, isRoutingTest, readMeshFiles } from "./mesh-files.ts";
import { type OfflineMesh, openOfflineMesh, placeText } from "./offline-mesh.ts";
import { outcomeOf } from "./routing-outcome.ts";
import { authorizationDifferences, differences, outcomeText } from "./routing-test-check.ts";
import { parseRoutingTests, type RoutingTest, type RoutingTestFile } from "./routing-test-file.ts";
import { type Style, styleOf } from "./style.ts";
import { type TestResult, type TestRun, testJson, testJunit, testText } from "./test-report.ts";
import { createCaseRunner } from "./validator-cases.ts";

export interface TestOptions {
  readonly dir?: string;
  readonly output: string;
}

/** Runs the tests of files and folders. Fails where a test does, or a file of tests has a mistake. */
export async function test(paths: readonly string[], options: TestOptions): Promise<number> {
  const files = await testFiles(paths);
  const mistakes = [...files].flatMap(([file, text]) => file.diagnostics.map((diagnostic) => ({ diagnostic, text })));
  const style = styleOf(process.stderr, process.env);
  for (const { diagnostic, text } of mistakes) process.stderr.write(`${diagnosticText(diagnostic, text, style)}\n`);
  const run = await runTests([...files.keys()], options.dir);
  process.stdout.write(`${runText(run, options.output, styleOf(process.stdout, process.env))}\n`);
  return mistakes.length === 0 && run.results.every(({ passed }) => passed) ? EXIT.ok : EXIT.failed;
}

/** Runs the tests of files that were read. Each file's mesh is `dir`, else what the file names, else the folder that it lies in. */
export async function runTests(files: readonly RoutingTestFile[], dir: string | undefined): Promise<TestRun> {
  const filter = await loadFilter((await buildFilter()).path, new Uint8Array(8));
  const meshes = createMeshes();
  const results: TestResult[] = [];
  let elapsedMs = 0;
  for (const file of files) {
    const paths = dir === undefined ? (file.mesh?.map((path) => join(dirname(file.file), path)) ?? [dirname(file.file)]) : [dir];
    const { mesh, texts } = await meshes(paths);
    const startedMs = performance.now();
    for (const each of file.tests) results.push(runOne(file.file, each, mesh(), filter));
    if (file.cases.length > 0) results.push(...runCases(file, texts, filter));
    elapsedMs += performance.now() - startedMs;
  }
  return { results, elapsedMs };
}

interface ReadMesh {
  readonly texts: ReadonlyMap<string, string>;
  readonly mesh: () => OfflineMesh;
}

/** Files that are tested against the same paths share one mesh. */
function createMeshes(): (paths: readonly string[]) => Promise<ReadMesh> {
  const known = new Map<string, ReadMesh>();
  return async (paths) => {
    const key = paths.join("\n");
    const found = known.get(key);
    if (found !== undefined) return found;
    const texts = await readMeshFiles(paths);
    let opened: OfflineMesh | undefined;
    const mesh = (): OfflineMesh => {
      opened ??= openOfflineMesh(texts);
      return opened;
    };
    known.set(key, { texts, mesh });
    return { texts, mesh };
  };
}

function runOne(file: string, test: RoutingTest, mesh: OfflineMesh, filter: FilterInstance): TestResult {
  const { name, origin, request, expect } = test;
  const headers = Object.entries(request.headers).flatMap(([header, values]) => [values].flat().map((value): [string, string] => [header, value]));
  try {
    const asked = parseRequest(request.method, request.url, headers);
    const { from, namespace: callerNamespace, claims } = request;
    const route = mesh.find({ from, namespace: callerNamespace, asked, ...(claims === undefined ? {} : { claims }) });
    const answer = mesh.answer(route, filter);
    const asksForPolicies = expect.authorization !== undefined || expect.policy !== undefined;
    const steps = asksForPolicies ? mesh.authorization(route, answer.answer, tokenOf(claims)) : [];
    const outcome = outcomeOf(answer);
    const namespace = answer.written?.virtualService.namespace ?? route.proxy.namespace;
    const found = [...differences(expect, outcome, mesh.imagined.mesh, namespace), ...(asksForPolicies ? authorizationDifferences(expect, steps) : [])];
    const taken = answer.written === undefined ? (outcome.route ?? "no route") : `${outcome.route} (${placeText(answer.written.origin)})`;
    const policies = steps.flatMap((step) => stepLines(step, mesh.ruleOrigins(steps)));
    const because = found.length === 0 ? [] : [`taken: ${taken}: ${outcomeText(outcome)}`, ...policies, ...passedLines(answer.passed()), ...errorLines(mesh)];
    return { file, name, origin, passed: found.length === 0, differences: found, because };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return {
      file,
      name,
      origin,
      passed: false,
      differences: [{ field: "request", expected: "one that can be sent", actual: error.message }],
      because: [`${error.next}.`],
    };
  }
}

function runCases(file: RoutingTestFile, texts: ReadonlyMap<string, string>, filter: FilterInstance): readonly TestResult[] {
  const runCase = createCaseRunner(texts, filter);
  return file.cases.flatMap((test) =>
    runCase(test).map((result) => {
      const passed = result.differences.length === 0;
      const taken = result.written === undefined ? "no route" : placeText(result.written.origin);
      return {
        file: file.file,
        name: `${test.description}: ${result.name}`,
        origin: test.origin,
        passed,
        differences: result.differences,
        because: passed ? [] : [`taken: ${taken}`, ...passedLines(result.passed())],
      };
    }),
  );
}

function passedLines(passed: readonly PassedOver[]): readonly string[] {
  return passed.map(({ route, origin, failure }) => {
    const place = origin === undefined ? "" : ` (${placeText(origin)})`;
    return `not taken: ${route}${place}: ${failure.name} ${failure.expected}, ${failure.actual === undefined ? "there is none" : `it is ${JSON.stringify(failure.actual)}`}`;
  });
}

/** A resource with an error counts as absent, which a test would otherwise hide. */
function errorLines({ imagined }: OfflineMesh): readonly string[] {
  return imagined.diagnostics.filter(({ severity }) => severity === "error").map(({ origin, what }) => `counts as absent: ${placeText(origin)} ${what}`);
}

/** The files that are named, and those in folders that hold tests. Rejects with a CommandError where there are none. */
async function testFiles(paths: readonly string[]): Promise<ReadonlyMap<RoutingTestFile, string>> {
  const files = new Map<RoutingTestFile, string>();
  for (const path of paths) {
    for (const file of await filesAt(path)) {
      const text = await readFile(file, "utf8");
      if (file === path || isRoutingTest(text)) files.set(parseRoutingTests(file, text), text);
    }
  }
  if (files.size === 0) throw new CommandError(`there are no tests in ${paths.join(", ")}`, "Name a file with `tests:` or `testCases:`", EXIT.usage);
  return files;
}

function runText(run: TestRun, output: string, style: Style): string {
  switch (output) {
    case "json":
      return testJson(run);
    case "junit":
      return testJunit(run);
    default:
      return testText(run, style);
  }
}
