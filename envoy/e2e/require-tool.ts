// Programs that come from the system's package manager: where they are, and what a test does without them.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const TOOLS = {
  wrk: { variable: "WRK", install: "apt-get install wrk" },
  chromium: { variable: "CHROMIUM", install: "apt-get install chromium" },
  prometheus: { variable: "PROMETHEUS", install: "apt-get install prometheus" },
} as const;

export type ToolName = keyof typeof TOOLS;

/** Vitest's `context.skip` of the running test: ends the test and shows the note beside its name. */
export type Skip = (note: string) => never;

/**
 * The path of a program: from its environment variable (`CHROMIUM=/opt/chrome`), else from PATH.
 * Without it the test is skipped with the command that installs it, and with `CI=true` it fails.
 */
export function requireTool(name: ToolName, skip: Skip, environment: NodeJS.ProcessEnv = process.env): string {
  const { variable, install } = TOOLS[name];
  const path = environment[variable] ?? findOnPath(name, environment.PATH ?? "");
  if (path !== undefined && isExecutable(path)) return path;
  const note = `${path ?? name} is not there: ${install}, or set ${variable} to its path`;
  if (environment.CI === "true") throw new Error(note);
  return skip(note);
}

function findOnPath(name: string, searchPath: string): string | undefined {
  return searchPath
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
