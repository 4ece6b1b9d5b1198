// The commands that say what routing does, as commander reads them: tests and comparisons of YAML, and what the proxies of a running mesh hold.
import type { Command } from "commander";
import { command, type Done, outputOption } from "./command-line.ts";
import type { DiffOptions } from "./diff.ts";
import type { TestOptions } from "./test.ts";

/** What each of these commands does. */
export interface RoutingToolActions {
  readonly diff: (before: string, after: string, options: DiffOptions) => Promise<number>;
  readonly test: (paths: readonly string[], options: TestOptions) => Promise<number>;
}

/** Adds them to the command line. */
export function addRoutingTools(program: Command, actions: RoutingToolActions, done: Done): void {
  addTest(program, actions, done);
  addDiff(program, actions, done);
}

function addDiff(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "diff <old> <new>", "say what a change of the YAML would do: to which routes, for whom, and how many requests and users move")
    .option("--exit-code", "exit with 1 where anything differs")
    .addOption(outputOption("text for people, json or yaml for programs", ["text", "json", "yaml"]))
    .addHelpText(
      "after",
      `
Examples:
  $ weft diff examples/blue-green /tmp/blue-green
  $ git worktree add /tmp/main main && weft diff /tmp/main/mesh mesh --exit-code
  $ weft diff before.yaml after.yaml -o json | jq '.routes[] | {route, movedPercent, sticky}'

OLD and NEW are folders or files of YAML. Users are 10,000 made-up keys of the route's own kind, asked before and after of the filter itself.
Exit codes: 0 compared (1 with --exit-code where anything differs), 1 it could not, 2 the command line is wrong.`,
    )
    .action(async (before: string, after: string, options: DiffOptions) => done(await actions.diff(before, after, options)));
}

function addTest(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "test <files...>", "run unit tests of routing: request in, destination out, without network")
    .option("--dir <folder>", "the mesh's YAML (default: what the file of tests names as `mesh`, else the folder that it lies in)")
    .addOption(outputOption("text for people, json for programs, junit for continuous integration", ["text", "json", "junit"]))
    .addHelpText(
      "after",
      `
Examples:
  $ weft test routing.test.yaml
  $ weft test tests/ --dir examples/shop --output junit > junit.xml

FILES are files of tests, or folders that hold some. A test says who asks for what, and what must come of it:

  tests:
    - name: a canary user
      request: {from: product-a, url: "http://order-history:9090/", headers: {x-user: user-7}}
      expect: {destination: {host: order-history, subset: v2}}

docs/weft-test.md has every field. Files of istio-config-validator (testCases) are read, too.
Exit codes: 0 all tests pass, 1 one does not, 2 the command line is wrong.`,
    )
    .action(async (paths: string[], options: TestOptions) => done(await actions.test(paths, options)));
}
