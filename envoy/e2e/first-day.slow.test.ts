// Follows docs/first-day.md command by command: its fences are typed into a shell, its files written, and what it shows is what is seen.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../control-plane/test/free-ports.ts";
import { until } from "./mesh.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const PAGE = join(ROOT, "docs", "first-day.md");

type Step =
  | { readonly kind: "file"; readonly path: string; readonly text: string }
  | { readonly kind: "command" | "terminal"; readonly command: string; readonly shown: string };

/** The fences of the page: `console` is typed, `console terminal` is typed into a terminal of its own, `yaml PATH` is a file. */
function stepsOf(page: string): readonly Step[] {
  return [...page.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].flatMap(([, language, argument = "", text = ""]): readonly Step[] => {
    if (language === "yaml") return [{ kind: "file", path: argument, text }];
    return text
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = "", ...shown] = part.split("\n");
        return { kind: argument === "terminal" ? "terminal" : "command", command, shown: shown.join("\n").trim() };
      });
  });
}

/** Whether an output holds what the page shows, in order; `…` stands for anything. Runs of spaces are alike, since columns are as wide as they must be. */
function holds(output: string, shown: string): boolean {
  const plain = (text: string): string => text.replace(/\s+/g, " ");
  let rest = plain(output);
  for (const part of plain(shown)
    .split("…")
    .map((text) => text.trim())
    .filter((text) => text !== "")) {
    const at = rest.indexOf(part);
    if (at < 0) return false;
    rest = rest.slice(at + part.length);
  }
  return true;
}

describe("docs/first-day.md", () => {
  let base: string;
  let prelude: string;
  const terminals: ChildProcess[] = [];

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "weft-first-day-"));
    await symlink(join(ROOT, "examples"), join(base, "examples"));
    prelude = `npx() { shift; "${process.execPath}" "${join(ROOT, "control-plane/cli/weft.mjs")}" "$@"; }\n`;
  });
  afterAll(async () => {
    for (const terminal of terminals.reverse()) {
      if (terminal.exitCode !== null || terminal.pid === undefined) continue;
      const closed = new Promise((resolve) => terminal.once("close", resolve));
      process.kill(-terminal.pid, "SIGINT");
      await closed;
    }
    await rm(base, { recursive: true, force: true });
  });

  const type = (command: string): ChildProcess =>
    spawn("bash", ["-c", prelude + command], {
      cwd: base,
      env: { ...process.env, WEFT_STATE: join(base, "state"), NO_PROXY: "", no_proxy: "" },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  const outputOf = (child: ChildProcess): (() => string) => {
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
    return () => output;
  };
  const run = async (command: string): Promise<string> => {
    const child = type(command);
    const output = outputOf(child);
    await new Promise((resolve) => child.once("close", resolve));
    return output();
  };

  it("is a walk that leads where it says", { timeout: 300_000 }, async () => {
    const port = await freePort();
    const steps = stepsOf((await readFile(PAGE, "utf8")).replaceAll("3000", String(port)));
    expect(steps.filter(({ kind }) => kind === "command").length).toBeGreaterThan(15);
    for (const step of steps) {
      if (step.kind === "file") {
        await writeFile(join(base, "edit"), step.text);
        await rename(join(base, "edit"), join(base, step.path));
        continue;
      }
      const { command, shown } = step;
      if (step.kind === "terminal") {
        const terminal = type(command.replace("weft up", "weft up --gateway-port 0"));
        terminals.push(terminal);
        const output = outputOf(terminal);
        await until(
          `${shown} from ${command}`,
          () => {
            if (terminal.exitCode !== null) throw new Error(output());
            return holds(output(), shown) ? true : undefined;
          },
          120_000,
        );
      } else if (shown === "") {
        const output = await run(command);
        expect(output.replace(/^export .*\n/gm, ""), command).toBe("");
        if (command.startsWith("eval")) prelude += `${command}\n`;
      } else {
        // A reader takes a moment to go on to the next line; an edit has long been in force by then.
        await until(
          `what the page shows of ${command}`,
          async () => {
            const output = await run(command);
            if (!holds(output, shown)) throw new Error(output);
            return true;
          },
          60_000,
        );
      }
    }
  });
});
