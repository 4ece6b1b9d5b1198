// What workloads have called, on disk: read when the control plane starts, so that a proxy that connects to it for the first time begins with that.
import { readFile } from "node:fs/promises";
import { saveStateFile } from "./state-file.ts";

/** By workload, names of virtual hosts that its proxies have asked for. */
type CalledNames = ReadonlyMap<string, ReadonlySet<string>>;

/** Where what was called outlives the process. */
export interface CalledNamesStore {
  readonly load: () => Promise<CalledNames>;
  readonly save: (called: CalledNames) => Promise<void>;
}

/** A file on disk. One that is missing or damaged counts as none: then hosts are asked for once more. */
export function calledNamesFile(path: string): CalledNamesStore {
  return {
    load: async () => read(await readFile(path, "utf8").catch(() => "")),
    save: (called) => saveStateFile(path, { version: 1, workloads: Object.fromEntries([...called].map(([workload, names]) => [workload, [...names]])) }),
  };
}

function read(text: string): CalledNames {
  try {
    const value = JSON.parse(text) as { readonly version?: unknown; readonly workloads?: unknown } | null;
    if (value?.version !== 1 || typeof value.workloads !== "object" || value.workloads === null) return new Map();
    const isText = (name: unknown): name is string => typeof name === "string";
    return new Map(Object.entries(value.workloads).map(([workload, names]) => [workload, new Set(Array.isArray(names) ? names.filter(isText) : [])]));
  } catch {
    return new Map();
  }
}
