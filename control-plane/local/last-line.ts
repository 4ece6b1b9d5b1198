// What a program said last before it ended, out of its log: most often why.
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

const TAIL_BYTES = 16 * 1024;
const LONGEST_CHARACTERS = 200;
/** Frames of a stack trace, closing brackets, and what Node.js writes around a trace tell nobody why. */
const SAYS_NOTHING = /^(?:\s|[}\])]|Node\.js v\d|Emitted 'error' event)/;
const CONTROL_CHARACTERS = /\p{Cc}/gu;
const COLOURS = new RegExp(`${String.fromCharCode(0x1b)}\\[[\\d;]*m`, "g");

/** The size of a log; 0 where there is none yet. */
export function logSizeBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last line that says something among those written behind `offsetBytes`; undefined where nothing was, or the log cannot be read. */
export function lastLineOf(path: string, offsetBytes: number): string | undefined {
  try {
    return lastLine(readTail(path, offsetBytes));
  } catch {
    return undefined;
  }
}

/** The same of a text. Pure. */
export function lastLine(text: string): string | undefined {
  const lines = text
    .replace(COLOURS, "")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  const line = lines.findLast((each) => !SAYS_NOTHING.test(each)) ?? lines.at(-1);
  const shown = line?.replace(CONTROL_CHARACTERS, " ").trim();
  return shown === undefined || shown.length <= LONGEST_CHARACTERS ? shown : `${shown.slice(0, LONGEST_CHARACTERS)}…`;
}

function readTail(path: string, offsetBytes: number): string {
  const log = openSync(path, "r");
  try {
    const { size } = fstatSync(log);
    // A log that has become shorter was begun anew.
    const from = Math.max(size < offsetBytes ? 0 : offsetBytes, size - TAIL_BYTES);
    const tail = Buffer.alloc(size - from);
    const read = readSync(log, tail, 0, tail.length, from);
    return tail.toString("utf8", 0, read);
  } finally {
    closeSync(log);
  }
}
