// The commands that say what routing does, as commander reads them: tests and comparisons of YAML, and what the proxies of a running mesh hold.
import type { Command } from "commander";
import { command, type Done, outputOption } from "./command-line.ts";
import type { TestOptions } from "./test.ts";

/** What each of these commands does. */
export interface RoutingToolActions {
  readonly test: (paths: readonly string[], options: TestOptions) => Promise<number>;
}

/** Adds them to the command line. */
export function addRoutingTools(program: Command, actions: RoutingToolActions, done: Done): void {
  addTest(program, actions, done);
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
