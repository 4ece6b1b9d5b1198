// A real Prometheus (Debian's) for tests: it scrapes what a configuration says and answers queries.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { freePort } from "../../control-plane/test/free-ports.ts";
import { until } from "./mesh.ts";

/** One series of an instant query. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  /** An instant query, now. Rejects with what Prometheus says against it. */
  readonly query: (promql: string) => Promise<readonly Series[]>;
  /** Of a query that has one answer; NaN where it has none. */
  readonly number: (promql: string) => Promise<number>;
  readonly close: () => Promise<void>;
}

const answer = z.object({
  status: z.literal("success"),
  data: z.object({ result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })) }),
});

/** Starts `path` with a configuration file, and resolves when it answers. Rejects with its log where it ends before. */
export async function startPrometheus(path: string, configurationPath: string): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), "weft-prometheus-"));
  // Prometheus does not say which port the system has chosen.
  const port = await freePort();
  const child = spawn(path, [`--config.file=${configurationPath}`, `--storage.tsdb.path=${folder}`, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-8_000);
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await until("Prometheus", async () => {
      if (child.exitCode !== null) return "ended";
      return (await fetch(`${url}/-/ready`)).ok ? "ready" : undefined;
    });
    if (child.exitCode !== null) throw new Error(`Prometheus ended\n${log}`);
  } catch (error) {
    await close();
    throw error;
  }
  const query = async (promql: string): Promise<readonly Series[]> => {
    const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(promql)}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`${promql}: ${text}`);
    return answer.parse(JSON.parse(text)).data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
  };
  return { query, number: async (promql) => (await query(promql))[0]?.value ?? Number.NaN, close };
}
