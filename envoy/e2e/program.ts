// One program of a demo, started as a child process on a free loopback port.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Program {
  /** Where it listens. */
  readonly url: string;
  /** Every line of stdout so far. */
  lines(): readonly string[];
  /** Resolves at the first line of stdout, past or to come, that starts with `text`; rejects when the program ends without it. */
  line(text: string): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** Ends it at once, if it runs, and waits for the end. */
  kill(): Promise<void>;
  /** The exit code; null after a deadly signal. */
  readonly exited: Promise<number | null>;
}

/** Runs `node PATH` with `env` added to the environment. Resolves once it prints where it listens; rejects with its output when it ends before. */
export async function startProgram(path: string, env: Readonly<Record<string, string>> = {}): Promise<Program> {
  const child = spawn(process.execPath, [path], { env: { ...process.env, POD_IP: "127.0.0.1", PORT: "0", ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let errorOutput = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errorOutput += text;
  });
  createInterface(child.stdout).on("line", (line) => {
    lines.push(line);
    for (const watch of [...watchers]) watch();
  });

  const findLine = (matches: (line: string) => boolean, what: string) =>
    new Promise<string>((resolve, reject) => {
      const watch = () => {
        const found = lines.find(matches);
        if (found === undefined) return;
        watchers.delete(watch);
        resolve(found);
      };
      watchers.add(watch);
      watch();
      void exited.then((code) => reject(new Error(`${path} ended with ${code} and never printed ${what}: ${[...lines, errorOutput].join("\n")}`)));
    });

  const url = (await findLine((line) => line.includes(" listening on "), "where it listens")).split(" listening on ")[1] ?? "";
  return {
    url,
    lines: () => lines,
    line: (text) => findLine((line) => line.startsWith(text), text),
    signal: (signal) => {
      child.kill(signal);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    exited,
  };
}
