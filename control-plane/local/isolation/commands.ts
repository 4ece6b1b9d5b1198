// Runs the system's own tools.
import { spawn } from "node:child_process";

/** Runs a program to its end with `input`, and gives what it wrote. Rejects with its own words when it fails. */
export function runTool(program: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.stdin.on("error", () => undefined);
    child.once("error", (error) => reject(new Error(`${program} cannot be started: ${error.message}`)));
    child.once("close", (code) => (code === 0 ? resolve(output) : reject(new Error(`\`${program} ${args.join(" ")}\` ended with ${code}: ${errors.trim()}`))));
    child.stdin.end(input);
  });
}

/** Several commands of `ip` by one process. */
export async function runIp(commands: readonly string[], namespace?: string): Promise<void> {
  await runTool("ip", [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"], `${commands.join("\n")}\n`);
}
