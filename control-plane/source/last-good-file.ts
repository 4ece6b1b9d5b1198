// The last good state on disk: read when the control plane starts, written whenever it changes.
import { readFile } from "node:fs/promises";
import { EMPTY_LAST_GOOD, type LastGood, type RememberedResource } from "../model/last-good.ts";
import { saveStateFile } from "./state-file.ts";

/** Where the last good state outlives the process. */
export interface LastGoodStore {
  readonly load: () => Promise<LastGood>;
  readonly save: (lastGood: LastGood) => Promise<void>;
}

/** A file on disk. */
export function lastGoodFile(path: string): LastGoodStore {
  return { load: () => loadLastGood(path), save: (lastGood) => saveLastGood(path, lastGood) };
}

/** Reads what {@link saveLastGood} wrote. A file that is missing or damaged counts as none: the folder itself is then all that is known. */
export async function loadLastGood(path: string): Promise<LastGood> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return EMPTY_LAST_GOOD;
    throw error;
  }
  try {
    const value = JSON.parse(text) as Partial<LastGood> | null;
    if (value?.version !== 1 || !Array.isArray(value.resources)) return EMPTY_LAST_GOOD;
    return { version: 1, resources: value.resources.filter(isRemembered), settled: (value.settled ?? []).filter(isRemembered) };
  } catch {
    return EMPTY_LAST_GOOD;
  }
}

/** Later calls win over earlier ones. */
export function saveLastGood(path: string, lastGood: LastGood): Promise<void> {
  return saveStateFile(path, lastGood);
}

function isRemembered(value: unknown): value is RememberedResource {
  if (typeof value !== "object" || value === null) return false;
  const { kind, namespace, name, file, line, column, digest } = value as Partial<RememberedResource>;
  const texts = [kind, namespace, name, file, digest].every((text) => typeof text === "string");
  return texts && typeof line === "number" && typeof column === "number" && "document" in value;
}
