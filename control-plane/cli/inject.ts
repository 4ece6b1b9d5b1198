// `weft inject`: what the webhook does to pods, done to files, for clusters whose webhook is off and for whoever wants to see it.
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { injectDocuments } from "../kubernetes/inject/inject-documents.ts";
import { injectionSettings } from "../kubernetes/inject/settings.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { filesAt } from "./mesh-files.ts";

export interface InjectOptions {
  /** Folders, files, `-` for standard input. */
  readonly filename: readonly string[];
  readonly namespace: string;
  /** JSON, as `WEFT_INJECTION` of the control plane has it. */
  readonly settings?: string;
}

/** Prints the documents with their proxies; what is left alone, and why, on standard error. */
export async function inject({ filename, namespace, settings }: InjectOptions): Promise<number> {
  const wanted = settingsOf(settings);
  const texts: string[] = [];
  for (const name of filename) {
    if (name === "-") texts.push(await text(process.stdin));
    else for (const file of await filesAt(name)) texts.push(await readFile(file, "utf8"));
  }
  const outputs = texts.map((written) => {
    try {
      const { text: injected, warnings, left } = injectDocuments(written, namespace, wanted);
      for (const line of [...left, ...warnings]) process.stderr.write(`weft: ${line}\n`);
      return injected.endsWith("\n") ? injected : `${injected}\n`;
    } catch (error) {
      throw new CommandError(`this is no YAML: ${error instanceof Error ? error.message : error}`, "Run `weft analyze` on it, which shows the line");
    }
  });
  process.stdout.write(outputs.join("---\n"));
  return EXIT.ok;
}

function settingsOf(json: string | undefined): ReturnType<typeof injectionSettings.parse> {
  try {
    return injectionSettings.parse(JSON.parse(json ?? "{}"));
  } catch (error) {
    throw new CommandError(
      `--settings cannot be read: ${error instanceof Error ? error.message : error}`,
      'Write JSON such as {"proxyImage":"registry.example/envoy:v1.40.0"}',
      EXIT.usage,
    );
  }
}
