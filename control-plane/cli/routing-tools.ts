// The commands that say what routing does, as commander reads them: tests and comparisons of YAML, and what the proxies of a running mesh hold.
import { Argument, type Command, InvalidArgumentError } from "commander";
import { command, type Done, dirOption, EXIT_CODES, outputOption, WORKLOADS } from "./command-line.ts";
import type { Shell } from "./completion.ts";
import type { DiffOptions } from "./diff.ts";
import type { GetOptions } from "./get.ts";
import type { ProxyConfigOptions } from "./proxy-config.ts";
import type { ProxyStatusOptions } from "./proxy-status.ts";
import type { TestOptions } from "./test.ts";
import type { WaitOptions } from "./wait.ts";

/** What each of these commands does. */
export interface RoutingToolActions {
  readonly get: (kind: string | undefined, name: string | undefined, options: GetOptions) => Promise<number>;
  readonly wait: (resource: string, options: WaitOptions) => Promise<number>;
  readonly proxyStatus: (options: ProxyStatusOptions) => Promise<number>;
  readonly proxyConfig: (part: string, proxy: string, options: ProxyConfigOptions) => Promise<number>;
  readonly completion: (shell: Shell, program: Command) => Promise<number>;
  readonly diff: (before: string, after: string | undefined, options: DiffOptions) => Promise<number>;
  readonly test: (paths: readonly string[], options: TestOptions) => Promise<number>;
}

/** Adds them to the command line. */
export function addRoutingTools(program: Command, actions: RoutingToolActions, done: Done): void {
  addTest(program, actions, done);
  addDiff(program, actions, done);
  addGet(program, actions, done);
  addWait(program, actions, done);
  addProxies(program, actions, done);
  addCompletion(program, actions, done);
}

function addGet(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "get [kind] [name]", "list the resources of a mesh, or show one: those that serve where it runs, else those of its YAML")
    .option("-n, --namespace <name>", "only of this namespace")
    .addOption(outputOption("table for people, json or yaml for programs", ["table", "json", "yaml"]))
    .option(
      "--dir <folder>",
      "the mesh: the folder that `weft up` runs, or one of YAML that nothing runs (default: the mesh that runs, else the current folder)",
    )
    .addHelpText(
      "after",
      `
Examples:
  $ weft get
  $ weft get virtualservices
  $ weft get vs color -o yaml
  $ weft get dr --dir examples/shop -o json

KIND is a kind in any case, its plural, or kubectl's short name (vs, dr, gw, se, svc). NAME is a name, or NAMESPACE/NAME.
PROXIES says how many of the proxies that need a resource have taken it.
${EXIT_CODES}`,
    )
    .action(async (kind: string | undefined, name: string | undefined, options: GetOptions) => done(await actions.get(kind, name, options)));
}

function addWait(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "wait <resource>", "wait until every proxy that needs a resource has taken it as it stands in the file")
    .option("--timeout <seconds>", "how long to wait", seconds, 30)
    .option("-n, --namespace <name>", "the resource's namespace")
    .addOption(outputOption("text for people, json for programs", ["text", "json"]))
    .addOption(dirOption())
    .addHelpText(
      "after",
      `
Examples:
  $ weft wait virtualservice/color
  $ weft wait vs/shop/color --timeout 5 && ./smoke-test

RESOURCE is KIND/NAME or KIND/NAMESPACE/NAME. What is refused fails at once, with the reason.
Exit codes: 0 they have it, 1 they have not (how many, and why, is printed), 2 the command line is wrong.`,
    )
    .action(async (resource: string, options: WaitOptions) => done(await actions.wait(resource, options)));
}

function addProxies(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "proxy-status", "say how far each proxy of a running mesh is behind what was published for it")
    .addOption(outputOption("table for people, json or yaml for programs", ["table", "json", "yaml"]))
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ weft proxy-status\n  $ weft proxy-status -o json | jq '.[] | select(.upToDate | not)'\n${EXIT_CODES}`)
    .action(async (options: ProxyStatusOptions) => done(await actions.proxyStatus(options)));

  command(program, "proxy-config <part> <proxy>", "show what a proxy of a running mesh holds: listeners, routes, clusters, endpoints or filter")
    .option("-n, --namespace <name>", "the workload's namespace (default: the only one that has it)")
    .addOption(outputOption("table for people; json or yaml: Envoy's own words", ["table", "json", "yaml"]))
    .addOption(dirOption())
    .addHelpText(
      "after",
      `
Examples:
  $ weft proxy-config routes product-a
  $ weft proxy-config endpoints ingressgateway
  $ weft proxy-config clusters product-a -o json | jq '.[].name'

PART is listeners, routes, clusters, endpoints or filter. PROXY is a WORKLOAD, one of its copies, or ingressgateway.
${WORKLOADS}
${EXIT_CODES}`,
    )
    .action(async (part: string, proxy: string, options: ProxyConfigOptions) => done(await actions.proxyConfig(part, proxy, options)));
}

function addCompletion(program: Command, actions: RoutingToolActions, done: Done): void {
  const completion = command(program, "completion", "print a script by which a shell completes this command line").addHelpText(
    "after",
    `
Examples:
  $ weft completion bash > ~/.local/share/bash-completion/completions/weft
  $ weft completion zsh > ~/.zfunc/_weft
  $ weft completion fish > ~/.config/fish/completions/weft.fish
${EXIT_CODES}`,
  );
  completion
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .action(async (shell: Shell) => done(await actions.completion(shell, program)));
}

function seconds(text: string): number {
  if (!/^\d{1,6}(\.\d+)?$/.test(text)) throw new InvalidArgumentError("It is a number of seconds.");
  return Number(text);
}

function addDiff(program: Command, actions: RoutingToolActions, done: Done): void {
  command(program, "diff <old> [new]", "say what a change of the YAML would do: to which routes, for whom, and how many requests and users move")
    .option("--exit-code", "exit with 1 where anything differs")
    .addOption(outputOption("text for people, json or yaml for programs", ["text", "json", "yaml"]))
    .addHelpText(
      "after",
      `
Examples:
  $ weft diff examples/blue-green /tmp/blue-green
  $ git worktree add /tmp/main main && weft diff /tmp/main/mesh mesh --exit-code
  $ weft diff before.yaml after.yaml -o json | jq '.routes[] | {route, movedPercent, sticky}'

With --context the old side is the cluster, and the files are what would be applied to it: weft --context kind-weft diff change.yaml
OLD and NEW are folders or files of YAML. Users are 10,000 made-up keys of the route's own kind, asked before and after of the filter itself.
Exit codes: 0 compared (1 with --exit-code where anything differs), 1 it could not, 2 the command line is wrong.`,
    )
    .action(async (before: string, after: string | undefined, options: DiffOptions) => done(await actions.diff(before, after, options)));
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
