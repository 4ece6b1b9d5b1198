// Reads log files from a place on, in whole lines. Files that are not there yet are empty.
import { type FileHandle, open } from "node:fs/promises";

const BLOCK_BYTES = 64 * 1024;

/** Where the last `lines` lines of a file begin, in bytes; 0 where it has fewer. */
export function offsetOfLast(path: string, lines: number): Promise<number> {
  return withLog(path, 0, async (handle, size) => {
    if (lines === 0) return size;
    let missing = lines;
    for (let end = size; end > 0; end -= BLOCK_BYTES) {
      const start = Math.max(0, end - BLOCK_BYTES);
      const block = await read(handle, start, end - start);
      // The line break at the very end closes the last line; it begins none.
      for (let at = end === size ? block.length - 2 : block.length - 1; at >= 0; at--) {
        if (block[at] === 0x0a && --missing === 0) return start + at + 1;
      }
    }
    return 0;
  });
}

/**
 * Gives what stands behind `offset` to `take`, without the last line break of each piece, and resolves with the offset behind it. With `wholeLines` an
 * unfinished last line is left for the next time. A file that has become shorter is read from its start.
 */
export function readOn(path: string, offset: number, wholeLines: boolean, take: (lines: readonly string[]) => void): Promise<number> {
  return withLog(path, offset, async (handle, size) => {
    let at = size < offset ? 0 : offset;
    while (at < size) {
      const block = await read(handle, at, Math.min(size - at, BLOCK_BYTES));
      const end = block.lastIndexOf(0x0a) + 1;
      // A line longer than a block is given in pieces rather than never.
      const taken = end > 0 ? end : block.length === BLOCK_BYTES || !wholeLines ? block.length : 0;
      if (taken === 0) break;
      take(block.toString("utf8", 0, taken).replace(/\n$/, "").split("\n"));
      at += taken;
    }
    return at;
  });
}

async function withLog<Value>(path: string, absent: Value, use: (handle: FileHandle, sizeBytes: number) => Promise<Value>): Promise<Value> {
  const handle = await openLog(path);
  if (handle === undefined) return absent;
  try {
    return await use(handle, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

async function openLog(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    // Nothing has been written yet.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function read(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
