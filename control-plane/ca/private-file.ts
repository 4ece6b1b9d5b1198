// Files that only their owner may read, written whole or not at all.
import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** The text, or undefined where there is no such file. */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Writes by renaming into place: Envoy's file watch hears of nothing else. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  await withTemporary(path, text, (temporary) => rename(temporary, path));
}

/** Writes unless the file exists; of several writers at once one wins. Returns what the file then holds. */
export async function writePrivateFileOnce(path: string, text: string): Promise<string> {
  await withTemporary(path, text, (temporary) =>
    link(temporary, path).catch((error: unknown) => {
      if (!isCode(error, "EEXIST")) throw error;
    }),
  );
  return readFile(path, "utf8");
}

async function withTemporary(path: string, text: string, place: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${randomUUID()}`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: "wx" });
    await place(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
