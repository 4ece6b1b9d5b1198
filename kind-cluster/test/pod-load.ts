// A load that is sent from inside a pod, through its interception, as its application would send it.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LoadReport } from "../../envoy/e2e/load.ts";
import type { PodLoadOptions } from "./load-client.ts";

const CLIENT = fileURLToPath(new URL("load-client.ts", import.meta.url));

export interface PodAnswer {
  readonly atMs: number;
  readonly status: number;
  readonly key: string;
}

export interface PodLoad {
  /** All answers so far, in the order in which they came. */
  readonly answers: readonly PodAnswer[];
  /** Resolves with the next `count` answers, all of which come after this call. Rejects when the load ends before. */
  readonly next: (count: number) => Promise<readonly PodAnswer[]>;
  readonly stop: () => Promise<LoadReport>;
  /** Ends it however it stands; nothing where it has ended. */
  readonly end: () => Promise<void>;
}

/** Starts a load in the network namespace of a pod. */
export function startPodLoad(networkNamespace: string, options: PodLoadOptions): PodLoad {
  const args = ["netns", "exec", networkNamespace, process.execPath, "--import", "tsx", CLIENT, JSON.stringify(options)];
  const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
  const answers: PodAnswer[] = [];
  const waiting = new Set<() => void>();
  let report: LoadReport | undefined;
  const wake = (): void => {
    for (const look of [...waiting]) look();
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    const said: { report?: LoadReport; status: number; key: string } = JSON.parse(line);
    if (said.report === undefined) answers.push({ atMs: Date.now(), status: said.status, key: said.key });
    else report = said.report;
    wake();
  });
  let ended = false;
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  void closed.then(() => {
    ended = true;
    wake();
  });
  return {
    answers,
    next: (count) => {
      const from = answers.length;
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (answers.length < from + count && !ended) return;
          waiting.delete(look);
          if (answers.length >= from + count) resolve(answers.slice(from, from + count));
          else reject(new Error(`the load ended after ${answers.length - from} of ${count} answers: ${JSON.stringify(report?.byReason)}`));
        };
        waiting.add(look);
        look();
      });
    },
    end: async () => {
      child.kill("SIGKILL");
      await closed;
    },
    stop: async () => {
      child.kill("SIGTERM");
      await closed;
      if (report === undefined) throw new Error(`the load in ${networkNamespace} ended without a report`);
      return report;
    },
  };
}

/** How many of the answers have which key, without what the pod's own name adds to its workload's. */
export function countKeys(answers: readonly PodAnswer[], short: (key: string) => string = (key) => key): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { key } of answers) counts[short(key)] = (counts[short(key)] ?? 0) + 1;
  return counts;
}
