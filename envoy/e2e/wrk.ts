// wrk (Debian package `wrk`) as a load generator: raw speed, no look at the answers. It never sends a request twice.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

export interface WrkOptions {
  /** wrk's path, from `requireTool`. */
  readonly path: string;
  readonly url: string;
  readonly connections: number;
  /** At most `connections`. Default 1. */
  readonly threads?: number;
  /** Whole seconds, 1 to 300. */
  readonly durationSeconds: number;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Until an answer counts as timed out. Default 10 s. */
  readonly timeoutSeconds?: number;
}

const socketErrors = z.object({ connect: z.number(), read: z.number(), write: z.number(), timeout: z.number() });
const summary = z.object({
  /** Answers, of any status. */
  requests: z.number(),
  durationSeconds: z.number(),
  /** Answers with a status above 399. */
  badStatus: z.number(),
  socketErrors,
  latencyMs: z.object({ mean: z.number(), p50: z.number(), p99: z.number(), max: z.number() }),
});

/** What wrk counted. `failed` is bad statuses and socket errors together. */
export interface WrkReport extends z.output<typeof summary> {
  readonly failed: number;
  readonly requestsPerSecond: number;
}

/** Runs wrk to its end. Fails when wrk does, says nothing readable, or is not done 15 s after its time. */
export async function runWrk(options: WrkOptions): Promise<WrkReport> {
  if (options.durationSeconds < 1 || options.durationSeconds > 300) throw new RangeError(`durationSeconds must be 1 to 300, not ${options.durationSeconds}`);
  const folder = await mkdtemp(join(tmpdir(), "weft-wrk-"));
  try {
    const script = join(folder, "load.lua");
    await writeFile(script, luaScript(options));
    const output = await run(
      options.path,
      [
        ...["--connections", String(options.connections)],
        ...["--threads", String(options.threads ?? 1)],
        ...["--duration", `${options.durationSeconds}s`],
        ...["--timeout", `${options.timeoutSeconds ?? 10}s`],
        ...["--script", script, options.url],
      ],
      (options.durationSeconds + 15) * 1_000,
    );
    return readReport(output);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const MARK = "weft-wrk-report ";

function readReport(output: string): WrkReport {
  const line = output.split("\n").find((text) => text.startsWith(MARK));
  if (line === undefined) throw new Error(`wrk printed no report: ${output}`);
  const counts = summary.parse(JSON.parse(line.slice(MARK.length)));
  const { connect, read, write, timeout } = counts.socketErrors;
  return { ...counts, failed: counts.badStatus + connect + read + write + timeout, requestsPerSecond: counts.requests / counts.durationSeconds };
}

function luaScript(options: WrkOptions): string {
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => `wrk.headers[${luaString(name)}] = ${luaString(value)}`);
  return `wrk.method = ${luaString(options.method ?? "GET")}
${headers.join("\n")}
${options.body === undefined ? "" : `wrk.body = ${luaString(options.body)}`}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '${MARK}{"requests":%d,"durationSeconds":%.6f,"badStatus":%d,"socketErrors":{"connect":%d,"read":%d,"write":%d,"timeout":%d},' ..
    '"latencyMs":{"mean":%.3f,"p50":%.3f,"p99":%.3f,"max":%.3f}}\\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect, e.read, e.write, e.timeout,
    summary.requests > 0 and latency.mean / 1e3 or 0, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.requests > 0 and latency.max / 1e3 or 0))
end
`;
}

/** Every byte escaped as a decimal, so that no text can end the string. */
function luaString(text: string): string {
  return `"${[...Buffer.from(text, "utf8")].map((byte) => `\\${String(byte).padStart(3, "0")}`).join("")}"`;
}

function run(path: string, args: readonly string[], limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"], timeout: limitMs, killSignal: "SIGKILL" });
    let output = "";
    const collect = (text: string) => {
      output += text;
    };
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.once("error", reject);
    child.once("close", (code, signal) => (code === 0 ? resolve(output) : reject(new Error(`wrk ended with ${signal ?? `code ${code}`}: ${output}`))));
  });
}
