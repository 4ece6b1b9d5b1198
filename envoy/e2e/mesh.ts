// Drives a real `weft up` for end-to-end tests: a copy of a folder, one child process, its JSON events, and edits that are awaited.
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ReadyEvent, RunnerEvent } from "../../control-plane/local/events.ts";
import { refusePrivateKeys, refusePrivateKeysBelow } from "../../control-plane/test/private-keys.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const WEFT = join(ROOT, "control-plane", "cli", "weft.mjs");

/** The project's own folder of examples. */
export const EXAMPLES = join(ROOT, "examples");

/** Folders that exist for tests only. */
export const MESHES = join(ROOT, "envoy", "e2e", "meshes");

export interface TestMesh {
  readonly folder: string;
  readonly ready: ReadyEvent;
  /** Everything that the runner said, in order. */
  readonly events: readonly RunnerEvent[];
  /** Awaits an event, also one that was said already when `from` is an earlier `events.length`. Rejects after `timeoutMs`. */
  readonly event: <Kind extends RunnerEvent["event"]>(
    kind: Kind,
    accept?: (event: Extract<RunnerEvent, { event: Kind }>) => boolean,
    options?: { readonly from?: number; readonly timeoutMs?: number },
  ) => Promise<Extract<RunnerEvent, { event: Kind }>>;
  /** Rewrites one file of the folder by rename, as editors do, and returns how many events stood before. */
  readonly edit: (file: string, change: (text: string) => string) => Promise<number>;
  /** Writes one file of the folder, new or not, by rename, and returns how many events stood before. */
  readonly write: (file: string, text: string) => Promise<number>;
  /** Runs `weft …` against this mesh from a second process. */
  readonly weft: (...args: readonly string[]) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  readonly close: () => Promise<void>;
}

/** A condition did not come true in time; the message carries what was last seen. */
function overdue(what: string, seen: unknown): Error {
  return new Error(`${what} did not come in time; seen: ${JSON.stringify(seen).slice(0, 2_000)}`);
}

/** Awaits a condition, asking again every 20 ms. The limit is generous: it bounds a failure, it measures nothing. */
export async function until<Value>(what: string, probe: () => Promise<Value | undefined> | Value | undefined, timeoutMs = 30_000): Promise<Value> {
  const endMs = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < endMs) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      last = error instanceof Error ? error.message : error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw overdue(what, last);
}

function collect(child: ChildProcess, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk) => (stdout += chunk));
    child.stderr?.on("data", (chunk) => (stderr += chunk));
    child.on("error", (error) => reject(new Error(`weft ${args.join(" ")}: ${error.message}`)));
    child.on("close", (code) => {
      try {
        refusePrivateKeys(`what weft ${args[0]} printed`, stdout + stderr);
        resolve({ code: code ?? -1, stdout, stderr });
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

/** Runs one `weft` command to its end. */
export function runWeft(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<{ code: number; stdout: string; stderr: string }> {
  return collect(spawn(process.execPath, [WEFT, ...args], { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] }), args);
}

/** Copies `source` to a folder of its own, changes the copy if asked, and runs `weft up` on it until it is ready. State lies beside the copy. */
export async function startMesh(
  source: string,
  options: { readonly prepare?: (folder: string) => Promise<void>; readonly env?: NodeJS.ProcessEnv; readonly args?: readonly string[] } = {},
): Promise<TestMesh> {
  const base = await mkdtemp(join(tmpdir(), "weft-e2e-"));
  const folder = join(base, "mesh");
  await cp(source, folder, { recursive: true });
  await options.prepare?.(folder);
  const env = { ...process.env, WEFT_STATE: join(base, "state"), ...options.env };
  const child = spawn(process.execPath, [WEFT, "up", folder, "--output", "json", "--gateway-port", "0", ...(options.args ?? [])], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: RunnerEvent[] = [];
  const waiting = new Set<() => void>();
  let ended: number | undefined;
  let errors = "";
  child.stderr.on("data", (chunk) => (errors = (errors + chunk).slice(-8_000)));
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line));
    for (const wake of [...waiting]) wake();
  });
  const closed = new Promise<void>((resolve) =>
    child.on("close", (code) => {
      ended = code ?? -1;
      for (const wake of [...waiting]) wake();
      resolve();
    }),
  );

  const event: TestMesh["event"] = (kind, accept = () => true, { from = 0, timeoutMs = 60_000 } = {}) =>
    new Promise((resolve, reject) => {
      let next = from;
      const finish = (act: () => void): void => {
        waiting.delete(look);
        clearTimeout(timer);
        act();
      };
      const look = (): void => {
        for (; next < events.length; next++) {
          const candidate = events[next];
          if (candidate !== undefined && isKind(candidate, kind) && accept(candidate)) {
            finish(() => resolve(candidate));
            return;
          }
        }
        if (ended !== undefined) finish(() => reject(new Error(`weft up ended with ${ended} while waiting for ${kind}\n${errors}`)));
      };
      const timer = setTimeout(() => finish(() => reject(overdue(`event ${kind}\n${errors}`, events.slice(-5)))), timeoutMs);
      waiting.add(look);
      look();
    });

  /** Ends it, and fails where a private key is in anything that it said, answered or left behind. Again, it does nothing: tests close what they have closed. */
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= end();
    return closing;
  };
  const end = async (): Promise<void> => {
    try {
      const ready = events.findLast((candidate) => isKind(candidate, "ready"));
      if (ready !== undefined && ended === undefined) await refuseKeysInAnswers(ready);
    } finally {
      child.kill("SIGINT");
      await closed;
    }
    refusePrivateKeys("what `weft up` printed", `${JSON.stringify(events)}${errors}`);
    await refusePrivateKeysBelow(env.WEFT_STATE, isKeyStore);
    if (process.env.WEFT_KEEP !== "1") await rm(base, { recursive: true, force: true });
  };

  const write = async (file: string, text: string): Promise<number> => {
    const path = join(folder, file);
    const before = events.length;
    await writeFile(`${path}.edit`, text);
    await rename(`${path}.edit`, path);
    return before;
  };

  try {
    const ready = await event("ready", undefined, { timeoutMs: 120_000 });
    return {
      folder,
      ready,
      events,
      event,
      close,
      edit: async (file, change) => write(file, change(await readFile(join(folder, file), "utf8"))),
      write,
      weft: (...args) => runWeft([...args, "--dir", folder], env),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** All that the control plane's API and those of the proxies answer. Proxies that ended meanwhile are passed by. */
async function refuseKeysInAnswers({ controlPlane, workloads, gateways }: ReadyEvent): Promise<void> {
  const read = async (url: string): Promise<string> =>
    fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      (response) => response.text(),
      () => "",
    );
  const paths = /there are ([^"]*)/.exec(await read(`${controlPlane.admin}/none`))?.[1]?.split(", ") ?? [];
  const proxies = [...workloads.map(({ sidecar }) => sidecar.admin), ...gateways.map(({ admin }) => admin)].filter((admin) => admin !== "");
  const urls = [
    ...paths.map((path) => `${controlPlane.admin}${path}`),
    ...proxies.flatMap((admin) => ["/config_dump?include_eds", "/certs"].map((path) => `${admin}${path}`)),
  ];
  for (const url of urls) refusePrivateKeys(url, await read(url));
}

/** Files of a state folder that are there to keep keys: the authority's, and what was good last, in which a Secret of the YAML stands as it is written. */
function isKeyStore(path: string): boolean {
  return path.startsWith("identity") || path === "last-good.json";
}

function isKind<Kind extends RunnerEvent["event"]>(event: RunnerEvent, kind: Kind): event is Extract<RunnerEvent, { event: Kind }> {
  return event.event === kind;
}
