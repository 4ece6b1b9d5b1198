// Runs one command line: reads it, loads the command, prints its error. Ends the process with the command's exit code.
import { CommanderError } from "commander";
import { CommandError, EXIT } from "./command-error.ts";
import { type Actions, createProgram } from "./program.ts";
import { styleOf } from "./style.ts";

/** Loads each command when it is run: `weft --help` reads none of them. */
const ACTIONS: Actions = {
  analyze: async (paths, options) => (await import("./analyze.ts")).analyze(paths, options),
  init: async (folder) => (await import("./init.ts")).init(folder),
  inject: async (options) => (await import("./inject.ts")).inject(options),
  up: async (folder, options) => (await import("./up.ts")).up(folder, options),
  stopStart: async (action, workload, options) => (await import("./stop-start.ts")).stopStart(action, workload, options),
  env: async (workload, options) => (await import("./env.ts")).env(workload, options),
  top: async (options) => (await import("./top.ts")).top(options),
  ps: async (options) => (await import("./ps.ts")).ps(options),
  logs: async (target, options) => (await import("./logs.ts")).logs(target, options),
  explain: async (method, url, folder, options) => (await import("./explain.ts")).explain(method, url, folder, options),
  certShow: async (workload, options) => (await import("./cert.ts")).certShow(workload, options),
  certRotate: async (options) => (await import("./cert.ts")).certRotate(options),
  get: async (kind, name, options) => (await import("./get.ts")).get(kind, name, options),
  wait: async (resource, options) => (await import("./wait.ts")).wait(resource, options),
  proxyStatus: async (options) => (await import("./proxy-status.ts")).proxyStatus(options),
  proxyConfig: async (part, proxy, options) => {
    const { partNamed, proxyConfig } = await import("./proxy-config.ts");
    return proxyConfig(partNamed(part), proxy, options);
  },
  completion: async (shell, program) => (await import("./completion.ts")).completion(shell, program),
  diff: async (before, after, options) => (await import("./diff.ts")).diff(before, after, options),
  test: async (paths, options) => (await import("./test.ts")).test(paths, options),
};

/** Runs the command of `args` (without node and the script) and ends the process. */
export async function main(args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`weft logs | head`) is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(EXIT.ok);
  });
  process.exit(await run(args));
}

async function run(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(ACTIONS, (code) => {
    exitCode = code;
  });
  for (const each of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) each.exitOverride();
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!(error instanceof CommandError)) throw error;
    const style = styleOf(process.stderr, process.env);
    process.stderr.write(`${style.red("weft:")} ${error.message}\n${error.next}.\n`);
    return error.exitCode;
  }
}
