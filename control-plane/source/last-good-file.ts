// The last good state on disk: read when the control plane starts, written whenever it changes.
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { EMPTY_LAST_GOOD, type LastGood, type RememberedResource } from "../model/last-good.ts";

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

/** Writes whole or not at all: a reader sees the former file or this one. Later calls win over earlier ones. */
export function saveLastGood(path: string, lastGood: LastGood): Promise<void> {
  const saved = (saving.get(path) ?? Promise.resolve()).catch(() => undefined).then(() => write(path, lastGood));
  saving.set(path, saved);
  return saved;
}

/** The write under way to each path: two at once could end in the wrong order. */
const saving = new Map<string, Promise<void>>();

async function write(path: string, lastGood: LastGood): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${randomUUID()}`;
  try {
    await writeFile(temporary, JSON.stringify(lastGood), { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function isRemembered(value: unknown): value is RememberedResource {
  if (typeof value !== "object" || value === null) return false;
  const { kind, namespace, name, file, line, column, digest } = value as Partial<RememberedResource>;
  const texts = [kind, namespace, name, file, digest].every((text) => typeof text === "string");
  return texts && typeof line === "number" && typeof column === "number" && "document" in value;
}
