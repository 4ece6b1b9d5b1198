// `weft up`: runs the mesh of a folder until Ctrl-C, and says what happens: to a person as text, to a program as one event a line.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RunnerEvent } from "../local/events.ts";
import { runMesh } from "../local/run.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import { EXIT } from "./command-error.ts";
import { countText, diagnosticText, newDiagnostics } from "./diagnostic-text.ts";
import { readyText } from "./ready-text.ts";
import { failed } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";
import { typedPath } from "./typed-path.ts";

export interface UpOptions {
  readonly output: string;
  readonly state?: string;
  readonly gatewayPort?: number;
  readonly isolate?: boolean;
}

/** Resolves when the mesh has ended on request; rejects with a CommandError when it could not start; ended before it was ready it has failed, too. */
export async function up(folder: string, options: UpOptions): Promise<number> {
  const voice = options.output === "json" ? JSON_VOICE : textVoice(folder, styleOf(process.stdout, process.env));
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
      ...(options.state === undefined ? {} : { stateFolder: resolve(options.state) }),
      ...(options.gatewayPort === undefined ? {} : { gatewayPort: options.gatewayPort }),
      ...(options.isolate ? { isolate: true } : {}),
      emit: voice.emit,
      signal: starting.signal,
    });
    stop = () => void mesh.stop();
    await mesh.finished;
    return EXIT.ok;
  } catch (error) {
    if (starting.signal.aborted) return EXIT.failed;
    throw failed(error);
  } finally {
    await voice.flushed();
  }
}

/** Where events are said. */
interface Voice {
  readonly emit: (event: RunnerEvent) => void;
  /** Resolves once all that was said is written. */
  readonly flushed: () => Promise<void>;
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

const JSON_VOICE: Voice = {
  emit: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
  flushed: () => Promise.resolve(),
};

/**
 * Events as lines of text. Diagnostics are shown with their line of the file, each once while it stands. Notes wait until the mesh is ready: much of what is
 * missing before is only on its way.
 */
function textVoice(folder: string, style: Style): Voice {
  const startedMs = performance.now();
  let ready = false;
  let standing: readonly Diagnostic[] = [];
  let shown: readonly Diagnostic[] = [];
  // Reading the files takes a moment; events stay in order all the same.
  let said: Promise<void> = Promise.resolve();
  const print = (text: () => Promise<string> | string): void => {
    said = said.then(async () => void process.stdout.write(`${await text()}\n`));
  };
  const showDiagnostics = (): void => {
    const [before, now] = [shown, ready ? standing : standing.filter(({ severity }) => severity !== "info")];
    shown = now;
    if (newDiagnostics(now, before).length > 0 || now.length < before.length) print(() => diagnosticsText(folder, now, before, style));
  };
  const emit = (event: RunnerEvent): void => {
    if (event.event === "diagnostics") {
      standing = event.diagnostics;
      showDiagnostics();
      return;
    }
    // A mesh that did not start has an error to tell instead.
    if (event.event === "stopped" && !ready) return;
    const elapsedMs = ready ? undefined : performance.now() - startedMs;
    const refused = new Set(standing.filter(({ severity }) => severity === "error").map(({ origin }) => origin.file));
    const text = eventText(event, elapsedMs, refused, style);
    if (text !== undefined) print(() => text);
    if (event.event !== "ready") return;
    ready = true;
    if (newDiagnostics(standing, shown).length > 0) showDiagnostics();
  };
  return { emit, flushed: () => said };
}

/** A line for a person, or nothing where another line says it too. */
function eventText(
  event: Exclude<RunnerEvent, { event: "diagnostics" }>,
  elapsedMs: number | undefined,
  refusedFiles: ReadonlySet<string>,
  style: Style,
): string | undefined {
  switch (event.event) {
    case "ready":
      return readyText(event, typedPath(event.folder, process.cwd()), style);
    case "workload":
      if (event.state === "crashed") return style.red(`✗ ${event.text}`);
      return elapsedMs !== undefined && event.state === "starting" ? undefined : style.dim(`  ${event.text}`);
    case "proxy":
      return event.state === "crashed" ? style.red(`✗ ${event.text}`) : undefined;
    case "control-plane":
      return event.state === "ended" ? style.yellow(`! ${event.text}`) : style.dim(`  ${event.text}`);
    case "applied":
      return event.files.some((file) => refusedFiles.has(file)) ? style.yellow(`! ${event.text}, without what is refused`) : style.green(`✓ ${event.text}`);
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
