// `weft completion`: scripts by which shells complete the command line, made of the commands and options that there are. Pure but for the printing.
import type { Command } from "commander";
import { EXIT } from "./command-error.ts";

export type Shell = "bash" | "zsh" | "fish";

/** One command as a shell sees it. */
export interface CompletedCommand {
  /** `cert show`; empty for `weft` itself. */
  readonly path: string;
  readonly description: string;
  readonly subcommands: readonly string[];
  readonly options: readonly CompletedOption[];
}

interface CompletedOption {
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** Prints the script of a shell. */
export async function completion(shell: Shell, program: Command): Promise<number> {
  process.stdout.write(completionScript(shell, program));
  return EXIT.ok;
}

/** The script. */
export function completionScript(shell: Shell, program: Command): string {
  const commands = commandsOf(program);
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return `#compdef weft\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`;
    case "fish":
      return fishScript(commands);
  }
}

/** The program's commands, with those of commands. */
export function commandsOf(program: Command): readonly CompletedCommand[] {
  const visit = (command: Command, path: string): readonly CompletedCommand[] => {
    const own = {
      path,
      description: command.description(),
      subcommands: command.commands.map((sub) => sub.name()),
      options: [
        ...command.options.map(({ short, long, description, required, optional, argChoices }) => ({
          flags: [short, long].filter((flag) => flag !== undefined),
          description,
          takesValue: required || optional,
          choices: argChoices ?? [],
        })),
        { flags: ["-h", "--help"], description: "print this help", takesValue: false, choices: [] },
      ],
    };
    return [own, ...command.commands.flatMap((sub) => visit(sub, path === "" ? sub.name() : `${path} ${sub.name()}`))];
  };
  return visit(program, "");
}

function bashScript(commands: readonly CompletedCommand[]): string {
  const paths = commands.filter(({ path }) => path !== "").map(({ path }) => `"${path}"`);
  const words = commands.map(
    ({ path, subcommands, options }) => `    "${path}") words="${[...subcommands, ...options.flatMap(({ flags }) => flags)].join(" ")}" ;;`,
  );
  const values = commands.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ flags, choices }) =>
          `    ${flags.map((flag) => `"${path} ${flag}"`).join("|")}) ${choices.length === 0 ? 'COMPREPLY=($(compgen -f -- "$cur"))' : `COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$cur"))`}; return ;;`,
      ),
  );
  return `_weft() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${paths.join("|")}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path $prev" in
${values.join("\n")}
  esac
  case "$path" in
${words.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ "$cur" != -* ]]; then COMPREPLY+=($(compgen -f -- "$cur")); fi
}
complete -F _weft weft
`;
}

function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ path, subcommands, options }) => {
    const parts = path.split(" ").filter((part) => part !== "");
    const seen = parts.length === 0 ? "__fish_use_subcommand" : parts.map((part) => `__fish_seen_subcommand_from ${part}`).join("; and ");
    const descriptions = new Map(commands.map((command) => [command.path, command.description]));
    return [
      ...subcommands.map(
        (sub) => `complete -c weft -f -n ${quoted(seen)} -a ${sub} -d ${quoted(descriptions.get(path === "" ? sub : `${path} ${sub}`) ?? "")}`,
      ),
      ...options.map(({ flags, description, takesValue, choices }) => {
        const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(" ");
        const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(" "))}` : takesValue ? " -r" : "";
        return `complete -c weft -n ${quoted(seen)} ${names}${value} -d ${quoted(description)}`;
      }),
    ];
  });
  return `${lines.join("\n")}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
