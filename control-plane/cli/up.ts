// `weft up`: runs the mesh of a folder until Ctrl-C, and says what happens: to a person as text, to a program as one event a line.
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { RunnerEvent } from "../local/events.ts";
import { runMesh } from "../local/run.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import { EXIT } from "./command-error.ts";
import { countText, diagnosticText, newDiagnostics } from "./diagnostic-text.ts";
import { readyText } from "./ready-text.ts";
import { failed } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";

export interface UpOptions {
  readonly output: string;
  readonly state?: string;
  readonly gatewayPort?: number;
}

/** Resolves when the mesh has ended on request; rejects with a CommandError when it could not start; ended before it was ready it has failed, too. */
export async function up(folder: string, options: UpOptions): Promise<number> {
  const say = options.output === "json" ? sayJson : sayText(folder, styleOf(process.stdout, process.env));
  const starting = new AbortController();
  let stop = (): void => starting.abort();
  const onSignal = endOnSignal(() => stop(), options.output === "json");
  // A program that no longer reads has ended: so does its mesh.
  process.stdout
    .removeAllListeners("error")
    .once("error", onSignal)
    .on("error", () => undefined);
  try {
    const mesh = await runMesh({
      folder,
      ...(options.state === undefined ? {} : { stateFolder: options.state }),
      ...(options.gatewayPort === undefined ? {} : { gatewayPort: options.gatewayPort }),
      emit: say,
      signal: starting.signal,
    });
    stop = () => void mesh.stop();
    await mesh.finished;
    return EXIT.ok;
  } catch (error) {
    if (starting.signal.aborted) return EXIT.failed;
    throw failed(error);
  }
}

/** A terminal's Ctrl-C reaches this process, and npx passes its own on: signals that come this close together are one. */
const SAME_SIGNAL_MS = 300;

/** The first signal ends the mesh in order; the second leaves at once, and the runner's guard ends what it leaves behind. */
function endOnSignal(stop: () => void, quiet: boolean): () => void {
  let firstMs: number | undefined;
  const onSignal = (): void => {
    const nowMs = performance.now();
    if (firstMs !== undefined) {
      if (nowMs - firstMs > SAME_SIGNAL_MS) process.exit(EXIT.failed);
      return;
    }
    firstMs = nowMs;
    if (!quiet) process.stderr.write("\nEnding every process; Ctrl-C again: at once.\n");
    stop();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  return onSignal;
}

function sayJson(event: RunnerEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Events as lines of text. Diagnostics are shown with their line of the file, those that stood before only once. */
function sayText(folder: string, style: Style): (event: RunnerEvent) => void {
  const startedMs = performance.now();
  let standing: readonly Diagnostic[] = [];
  let ready = false;
  // Reading the files takes a moment; events stay in order all the same.
  let said: Promise<void> = Promise.resolve();
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  return (event) => {
    const before = standing;
    if (event.event === "diagnostics") standing = event.diagnostics;
    if (event.event === "ready") ready = true;
    // A mesh that did not start has an error to tell instead.
    if (event.event === "stopped" && !ready) return;
    const elapsedMs = ready ? undefined : performance.now() - startedMs;
    said = said.then(async () =>
      print(event.event === "diagnostics" ? await diagnosticsText(folder, event.diagnostics, before, style) : eventText(event, elapsedMs, style)),
    );
  };
}

function eventText(event: Exclude<RunnerEvent, { event: "diagnostics" }>, elapsedMs: number | undefined, style: Style): string {
  switch (event.event) {
    case "ready":
      return readyText(event, relative(process.cwd(), event.folder) || ".", style);
    case "workload":
    case "proxy":
      return event.state === "crashed" ? style.red(`✗ ${event.text}`) : style.dim(`  ${event.text}`);
    case "control-plane":
      return event.state === "ended" ? style.yellow(`! ${event.text}`) : style.dim(`  ${event.text}`);
    case "applied":
      return style.green(`✓ ${event.text}`);
    case "progress":
    case "stopped":
      return elapsedMs === undefined ? `• ${event.text}` : `• ${event.text} ${style.dim(`${(elapsedMs / 1000).toFixed(1)} s`)}`;
  }
}

async function diagnosticsText(folder: string, now: readonly Diagnostic[], before: readonly Diagnostic[], style: Style): Promise<string> {
  if (now.length === 0) return style.green("✓ every file is in order again");
  const fresh = newDiagnostics(now, before);
  const texts = await Promise.all(fresh.map(async (diagnostic) => diagnosticText(diagnostic, await sourceOf(folder, diagnostic), style)));
  const refused = now.some(({ severity }) => severity === "error") ? ": what has an error is left out, and its last good version serves" : "";
  return [...texts, `! ${countText(now)}${fresh.length < now.length ? ` (${now.length - fresh.length} told before)` : ""}${refused}`].join("\n");
}

/** The text of the diagnostic's file, as it is now. */
async function sourceOf(folder: string, { origin }: Diagnostic): Promise<string | undefined> {
  try {
    return await readFile(join(folder, origin.file), "utf8");
  } catch {
    return undefined;
  }
}
