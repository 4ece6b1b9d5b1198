import { execFileSync } from "node:child_process";
import { Command, Option } from "commander";
import { describe, expect, it } from "vitest";
import { completionScript } from "./completion.ts";

const program = new Command("weft");
program
  .command("up")
  .description("run it")
  .option("--state <dir>", "where")
  .addOption(new Option("-o, --output <format>", "how").choices(["text", "json"]));
const cert = program.command("cert").description("certificates");
cert.command("show").description("list the mesh's own").option("--root", "roots only");

/** What bash offers for a command line whose last word is being typed. */
function offered(...words: readonly string[]): readonly string[] {
  const line = words.map((word) => `'${word}'`).join(" ");
  const script = `${completionScript("bash", program)}\nCOMP_WORDS=(weft ${line}); COMP_CWORD=${words.length}; cd /var/empty 2>/dev/null || cd /; _weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" })
    .split("\n")
    .filter((word) => word !== "");
}

describe("completion", () => {
  it.each([
    { words: ["u"], has: ["up"], not: ["cert"] },
    { words: ["up", "--"], has: ["--state", "--output", "--help"], not: ["--root"] },
    { words: ["up", "-o", ""], has: ["text", "json"], not: ["up"] },
    { words: ["cert", "s"], has: ["show"], not: ["up"] },
    { words: ["cert", "show", "--"], has: ["--root"], not: ["--state"] },
  ])("in bash after weft $words", ({ words, has, not }) => {
    const words_ = offered(...words);
    for (const word of has) expect(words_).toContain(word);
    for (const word of not) expect(words_).not.toContain(word);
  });

  it("names every command and option to fish and zsh", () => {
    const fish = completionScript("fish", program);
    expect(fish).toContain("complete -c weft -f -n '__fish_use_subcommand' -a up -d 'run it'");
    expect(fish).toContain("complete -c weft -n '__fish_seen_subcommand_from up' -s o -l output -x -a 'text json' -d 'how'");
    expect(fish).toContain("-a show -d 'list the mesh\\'s own'");
    expect(completionScript("zsh", program)).toMatch(/^#compdef weft\n/);
  });
});
