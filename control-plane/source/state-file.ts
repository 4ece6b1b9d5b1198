// A value as a file of JSON in the state folder, written whenever it changes, for the next process to read.
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes whole or not at all: a reader sees the former file or this one. Later calls win over earlier ones. Rejects where the folder cannot be written. */
export function saveStateFile(path: string, value: unknown): Promise<void> {
  const saved = (saving.get(path) ?? Promise.resolve()).catch(() => undefined).then(() => write(path, value));
  saving.set(path, saved);
  return saved;
}

/** The write under way to each path: two at once could end in the wrong order. */
const saving = new Map<string, Promise<void>>();

async function write(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${randomUUID()}`;
  try {
    await writeFile(temporary, JSON.stringify(value), { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
