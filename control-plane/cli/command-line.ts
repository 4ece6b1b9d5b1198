// What the commands' help texts and options have in common.
import { type Command, Option } from "commander";

/** How a workload is named, for help texts. */
export const WORKLOADS = `
WORKLOAD is a Deployment's name. WORKLOAD@ZONE names its copies in one zone; any unambiguous ending of the zone will do: product@a for ap-northeast-2a.`;

/** For help texts: the last line of each. */
export const EXIT_CODES = `
Exit codes: 0 it did what was asked, 1 it could not, 2 the command line is wrong.`;

/** Is told the exit code of the command that was run. */
export type Done = (exitCode: number) => void;

/** A command with the manners that all have: help, suggestions. */
export function command(program: Command, nameAndArguments: string, description: string): Command {
  const [name = ""] = nameAndArguments.split(" ");
  return program
    .command(nameAndArguments)
    .description(description)
    .helpOption("-h, --help", "print this help")
    .showHelpAfterError(`Run \`weft ${name} --help\` for its options and examples.`)
    .showSuggestionAfterError();
}

/** `--output`; the first choice is the default. */
export function outputOption(description: string, choices: readonly [string, ...string[]]): Option {
  return new Option("-o, --output <format>", description).choices(choices).default(choices[0]);
}

/** Which running mesh is meant. */
export function dirOption(): Option {
  return new Option(
    "--dir <folder>",
    "the mesh: the folder that `weft up` runs (default: the mesh that the current folder lies in, else the only one that runs)",
  );
}
