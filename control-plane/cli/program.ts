// The command line as commander reads it: commands, options, help texts with examples. What a command does is loaded only when it is run.
import { Command, InvalidArgumentError, Option } from "commander";
import { isRecord } from "../model/is-record.ts";
import type { AnalyzeOptions } from "./analyze.ts";
import type { CertRotateOptions, CertShowOptions } from "./cert.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { command, type Done, dirOption, EXIT_CODES, outputOption, WORKLOADS } from "./command-line.ts";
import type { EnvOptions } from "./env.ts";
import type { ExplainOptions } from "./explain.ts";
import type { InjectOptions } from "./inject.ts";
import type { LogsOptions } from "./logs.ts";
import type { PsOptions } from "./ps.ts";
import { addRoutingTools, type RoutingToolActions } from "./routing-tools.ts";
import type { StopStartOptions } from "./stop-start.ts";
import type { TopOptions } from "./top.ts";
import type { UpOptions } from "./up.ts";

/** What each command does. Resolves with the exit code; rejects with a CommandError. */
export interface Actions extends RoutingToolActions {
  readonly analyze: (paths: readonly string[], options: AnalyzeOptions) => Promise<number>;
  readonly init: (folder: string) => Promise<number>;
  readonly inject: (options: InjectOptions) => Promise<number>;
  readonly up: (folder: string, options: UpOptions) => Promise<number>;
  readonly stopStart: (action: "stop" | "start", workload: string, options: StopStartOptions) => Promise<number>;
  readonly env: (workload: string, options: EnvOptions) => Promise<number>;
  readonly ps: (options: PsOptions) => Promise<number>;
  readonly top: (options: TopOptions) => Promise<number>;
  readonly logs: (target: string | undefined, options: LogsOptions) => Promise<number>;
  readonly explain: (method: string, url: string, folder: string | undefined, options: ExplainOptions) => Promise<number>;
  readonly certShow: (workload: string | undefined, options: CertShowOptions) => Promise<number>;
  readonly certRotate: (options: CertRotateOptions) => Promise<number>;
}

/** The whole command line. `done` is told the exit code of the command that was run. */
export function createProgram(actions: Actions, done: (exitCode: number) => void): Command {
  const program: Command = new Command("weft");
  program
    .description("A service mesh on Envoy that speaks Istio's API and needs no Kubernetes.")
    .version("0.1.0", "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .option("--context <name>", "a Kubernetes cluster by its kubeconfig context: for get, analyze, explain, diff, wait, proxy-status and proxy-config")
    .option("--kubeconfig <path>", "the kubeconfig (default: $KUBECONFIG, else ~/.kube/config)")
    .hook("preAction", (_program: Command, chosen: Command) => chooseCluster(program, chosen))
    .showSuggestionAfterError()
    .showHelpAfterError("Run `weft --help` for the commands.")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "weft: ")) })
    .addHelpText(
      "after",
      `
Examples:
  $ weft up examples/shop                 run a folder of Kubernetes and Istio YAML on this machine
  $ weft ps                               in a second terminal: what runs, and where
  $ weft explain --live --from product-a GET http://order-history:9090/order-histories
  $ weft --context kind-weft get vs       the same of a Kubernetes cluster
${EXIT_CODES}`,
    );

  command(program, "up <folder>", "run a folder of Kubernetes and Istio YAML on this machine, until Ctrl-C")
    .addOption(outputOption("text for people, json for programs: one event a line on stdout", ["text", "json"]))
    .option("--state <dir>", "where logs and the last good configuration are kept (default: $WEFT_STATE, else one folder per mesh under ~/.local/state/weft)")
    .option("--isolate", "every copy in a network namespace of its own, its connections redirected to its sidecar as in a cluster (Linux, as root)")
    .option("--gateway-port <number>", "first port of the ingress gateways; 0: chosen by the system (default: 8080 for a Gateway's port 80)", portNumber)
    .addHelpText(
      "after",
      `
Examples:
  $ weft up examples/shop
  $ weft up examples/shop --output json | jq .event

Edit any file of the folder: the change is in force in less than a second, or is refused with the line and the fix.
Ctrl-C ends every process in order; a second Ctrl-C ends them at once.
${EXIT_CODES}`,
    )
    .action(async (folder: string, options: UpOptions) => done(await actions.up(folder, options)));

  command(program, "init <folder>", "write the local file of a folder: which command, or which declared answers, stand for each image")
    .addHelpText(
      "after",
      `
Examples:
  $ weft init deploy/                     writes deploy/weft.yaml, and says what it could not guess

It looks for each image's source in the folders around, by name, and for how it is started in Dockerfile, package.json, go.mod, pom.xml,
build.gradle, pyproject.toml, requirements.txt, Cargo.toml. What it cannot guess becomes a stub. A file that exists is never written over.
${EXIT_CODES}`,
    )
    .action(async (folder: string) => done(await actions.init(folder)));

  for (const action of ["stop", "start"] as const) {
    command(program, `${action} <workload>`, action === "stop" ? "stop a workload of a running mesh on purpose" : "start a workload again that was stopped")
      .option("-n, --namespace <name>", "the workload's namespace (default: the only one that has it)")
      .addOption(dirOption())
      .addHelpText(
        "after",
        `\nExamples:\n  $ weft ${action} order-history-a\n  $ weft ${action} order-history@a --dir examples/shop\n${WORKLOADS}\n${EXIT_CODES}`,
      )
      .action(async (workload: string, options: StopStartOptions) => done(await actions.stopStart(action, workload, options)));
  }

  command(program, "ps", "list what runs in a mesh, and where")
    .option("--external", "instead: what programs have called outside the mesh, and what was refused")
    .addOption(outputOption("table for people, json for programs", ["table", "json"]))
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ weft ps\n  $ weft ps --external\n  $ weft ps --dir examples/shop -o json\n${EXIT_CODES}`)
    .action(async (options: PsOptions) => done(await actions.ps(options)));

  command(program, "env <workload>", "print, for a shell, what a program that you run by hand needs to call the others of the mesh")
    .option("-n, --namespace <name>", "the workload's namespace (default: the only one that has it)")
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ eval "$(weft env product-a)" && curl $WEFT_URL/products\n${WORKLOADS}\n${EXIT_CODES}`)
    .action(async (workload: string, options: EnvOptions) => done(await actions.env(workload, options)));

  command(program, "top", "watch the traffic of a mesh: requests per second, errors, p99 and cross-zone share of each edge")
    .addOption(outputOption("table for people, redrawn on a terminal; json for programs, one line an interval", ["table", "json"]))
    .option("--once", "print one interval and end")
    .option("--interval <seconds>", "how long to count", seconds, 1)
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ weft top\n  $ weft top --once -o json --interval 5\n${EXIT_CODES}`)
    .action(async (options: TopOptions) => done(await actions.top(options)));

  command(program, "logs [target]", "print what a workload, a gateway or the control plane has written")
    .option("-f, --follow", "go on printing what is added, until Ctrl-C")
    .option("--access", "the access log of the sidecar: one line per request, with Envoy's response flags")
    .addOption(new Option("--envoy", "Envoy's own log").conflicts("access"))
    .option("-t, --tail <lines>", "only the last lines of each file (default: all; 10 where no target is named)", lineCount)
    .option("-n, --namespace <name>", "the workload's namespace (default: the only one that has it)")
    .addOption(dirOption())
    .addHelpText(
      "after",
      `
Examples:
  $ weft logs order-history-a
  $ weft logs -f                          every workload, each line with its name
  $ weft logs -f --access product-a
  $ weft logs gateway                     the ingress gateways: their access logs
  $ weft logs control-plane --tail 20

TARGET is a WORKLOAD, gateway or control-plane.${WORKLOADS}
${EXIT_CODES}`,
    )
    .action(async (target: string | undefined, options: LogsOptions) => done(await actions.logs(target, options)));

  addExplain(program, actions, done);
  addCert(program, actions, done);
  addAnalyze(program, actions, done);
  addRoutingTools(program, actions, done);
  return program;
}

/** Commands that a cluster can be asked: the others are about processes of this machine. */
const FOR_CLUSTERS: ReadonlySet<string> = new Set(["get", "analyze", "explain", "diff", "wait", "proxy-status", "proxy-config"]);

/** Hands the cluster of the common options to the command, as one of its own options. */
function chooseCluster(program: Command, chosen: Command): void {
  const { context, kubeconfig } = program.opts<{ context?: string; kubeconfig?: string }>();
  if (context === undefined) return;
  if (!FOR_CLUSTERS.has(chosen.name()))
    throw new CommandError(
      `weft ${chosen.name()} is about this machine, not about a cluster`,
      `With --context there are ${[...FOR_CLUSTERS].join(", ")}`,
      EXIT.usage,
    );
  chosen.setOptionValue("cluster", { context, ...(kubeconfig === undefined ? {} : { kubeconfig }) });
}

function addExplain(program: Command, actions: Actions, done: (exitCode: number) => void): void {
  command(program, "explain <method> <url> [folder]", "say where a request would go, and why, and why no other way; the request is not sent")
    .option("--live", "ask the proxy of a running mesh itself; without it the YAML says it, and nothing need run")
    .option("--from <workload>", "who sends the request: WORKLOAD, WORKLOAD@ZONE, or ingressgateway")
    .option("-H, --header <header>", "a header of the request, as 'name: value'; may be given several times", collectHeader, [])
    .option("--claims <json>", "claims of a token that comes with the request and holds: what a token really says is not known without its keys", claimsIn)
    .option("-n, --namespace <name>", "the namespace of --from (default: the only one that has it)")
    .addOption(outputOption("text for people, json or yaml for programs", ["text", "json", "yaml"]))
    .addOption(dirOption())
    .addHelpText(
      "after",
      `
Examples:
  $ weft explain --from product-a GET http://order-history:9090/order-histories examples/shop
  $ weft explain --live --from product-a GET http://order-history:9090/order-histories
  $ weft explain --live --from ingressgateway GET http://localhost:8080/color -H 'x-user: user-7'
  $ weft explain --live --from product-a GET http://order-history:9090/ -o json
  $ weft explain --from product-a GET http://order-history:9090/ --claims '{"iss": "https://issuer.example", "sub": "alice"}'

FOLDER holds the mesh's YAML; without it --dir, else the current folder. Its Deployments are taken to run, every copy ready. --from may be left out where
there are none.
The URL is what the program would call in a cluster (http://SERVICE:PORT/…), or the address that it calls here.
"No route matched" and "refused by an AuthorizationPolicy" are answers too: exit code 0.
${WORKLOADS}
${EXIT_CODES}`,
    )
    .action(async (method: string, url: string, folder: string | undefined, options: ExplainOptions) =>
      done(await actions.explain(method, url, folder, options)),
    );
}

function addCert(program: Command, actions: Actions, done: (exitCode: number) => void): void {
  const cert = command(program, "cert", "the certificates of a mesh: list them, renew them").addHelpText(
    "after",
    `\nExamples:\n  $ weft cert show\n  $ weft cert rotate --root\n${EXIT_CODES}`,
  );
  command(cert, "show [workload]", "list the roots and what the proxies prove themselves with; no key is shown")
    .option("-n, --namespace <name>", "the workload's namespace (default: every one that has it)")
    .addOption(outputOption("table for people, json for programs", ["table", "json"]))
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ weft cert show\n  $ weft cert show product-a -o json\n${WORKLOADS}\n${EXIT_CODES}`)
    .action(async (workload: string | undefined, options: CertShowOptions) => done(await actions.certShow(workload, options)));
  command(cert, "rotate", "give every proxy a new certificate; no request is lost")
    .option("--root", "make a new root first, and let the former one go when nothing hangs on it any more")
    .addOption(dirOption())
    .addHelpText("after", `\nExamples:\n  $ weft cert rotate\n  $ weft cert rotate --root --dir examples/shop\n${EXIT_CODES}`)
    .action(async (options: CertRotateOptions) => done(await actions.certRotate(options)));
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError("It is a number from 0 to 65535.");
  return port;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 3_600)) throw new InvalidArgumentError("It is a number of seconds, from 0.1 to 3600.");
  return value;
}

function lineCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It is a number of lines.");
  return Number(text);
}

function collectHeader(text: string, before: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.*?)\s*$/s.exec(text);
  const [, name, value] = match ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("A header is written 'name: value'.");
  if (/[^\t -~\u0080-\u00ff]/.test(value)) throw new InvalidArgumentError("A header's value holds no line break or control character.");
  return [...before, [name, value]];
}

function claimsIn(text: string): Readonly<Record<string, unknown>> {
  const read = parsedJson(text);
  if (!isRecord(read)) throw new InvalidArgumentError('Claims are a JSON object, such as \'{"iss": "https://issuer.example", "sub": "alice"}\'.');
  return read;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function addAnalyze(program: Command, actions: Actions, done: Done): void {
  command(program, "inject", "give the workloads of a file their proxies, as the webhook of a cluster does")
    .requiredOption(
      "-f, --filename <path>",
      "file or folder of YAML, - for standard input; may be repeated",
      (path: string, before: string[]) => [...before, path],
      [],
    )
    .option("-n, --namespace <name>", "namespace of documents that name none", "default")
    .option("--settings <json>", "settings of injection, as the control plane has them in WEFT_INJECTION")
    .addHelpText(
      "after",
      `
Examples:
  $ weft inject -f deployment.yaml | kubectl apply -f -
  $ kubectl get deploy reviews -o yaml | weft inject -f - | kubectl apply -f -

Everything in the files is printed; what is no workload as it is. Labels of namespaces are not known here: every workload gets a proxy that does not refuse it.
${EXIT_CODES}`,
    )
    .action(async (options: InjectOptions) => done(await actions.inject(options)));

  command(program, "analyze [files...]", "say what is wrong with YAML, under Istio's codes, before anything runs")
    .option("--fix", "mend what leaves no doubt (quotes, percent signs, maps for lists, misspelt fields, apiVersion), and show the lines that change")
    .option("--strict", "let warnings fail, too")
    .addOption(
      new Option("--platform <name>", "weft: a Deployment stands for its pods; istio: as istioctl sees the files").choices(["weft", "istio"]).default("weft"),
    )
    .addOption(outputOption("text for people, json for programs", ["text", "json"]))
    .addHelpText(
      "after",
      `
Examples:
  $ weft analyze examples/shop
  $ weft analyze --strict mesh/ gateway.yaml
  $ weft analyze --fix mesh/
  $ weft analyze mesh/ -o json | jq '.[] | select(.severity == "error")'

FILES are folders or files of YAML. A resource with the annotation galley.istio.io/analyze-suppress: IST0101 keeps that finding to itself.
Exit codes: 0 no error (with --strict no warning), 1 there is one, 2 the command line is wrong.`,
    )
    .action(async (paths: string[], options: AnalyzeOptions) => done(await actions.analyze(paths, options)));
}
