import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { offsetOfLast, readOn } from "./log-lines.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-logs-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function linesFrom(path: string, offset: number, wholeLines = false): Promise<{ readonly lines: readonly string[]; readonly offset: number }> {
  const lines: string[] = [];
  const end = await readOn(path, offset, wholeLines, (more) => lines.push(...more));
  return { lines, offset: end };
}

describe("the last lines of a log", () => {
  const long = Array.from({ length: 5_000 }, (_, index) => `line ${index} ${"x".repeat(40)}`);
  it.each([
    { name: "fewer than asked for", text: "a\nb\n", lines: 10, last: ["a", "b"] },
    { name: "the last two", text: "a\nb\nc\n", lines: 2, last: ["b", "c"] },
    { name: "an unfinished last line counts", text: "a\nb\nc", lines: 2, last: ["b", "c"] },
    { name: "none", text: "a\nb\n", lines: 0, last: [] },
    { name: "empty lines", text: "a\n\n\n", lines: 2, last: ["", ""] },
    { name: "an empty file", text: "", lines: 3, last: [] },
    { name: "across blocks", text: `${long.join("\n")}\n`, lines: 4_000, last: long.slice(1_000) },
  ])("$name", async ({ text, lines, last }) => {
    const path = await fileOf("tail.log", text);
    expect((await linesFrom(path, await offsetOfLast(path, lines))).lines).toEqual(last);
  });

  it("takes a file that is not there for an empty one", async () => {
    const path = join(folder, "absent.log");
    expect(await offsetOfLast(path, 5)).toBe(0);
    expect(await linesFrom(path, 0)).toEqual({ lines: [], offset: 0 });
  });
});

describe("reading on", () => {
  it("leaves an unfinished line for the next time, and keeps characters whole", async () => {
    const path = await fileOf("grow.log", "GET /a\nGET /라");
    const first = await linesFrom(path, 0, true);
    expect(first.lines).toEqual(["GET /a"]);
    await appendFile(path, "즈\n");
    expect((await linesFrom(path, first.offset, true)).lines).toEqual(["GET /라즈"]);
  });

  it("starts anew where the file has become shorter", async () => {
    const path = await fileOf("rotated.log", "new\n");
    expect(await linesFrom(path, 1_000, true)).toEqual({ lines: ["new"], offset: 4 });
  });

  it("gives a line that is longer than a block in pieces", async () => {
    const path = await fileOf("wide.log", `${"y".repeat(150_000)}\n`);
    expect((await linesFrom(path, 0, true)).lines.join("")).toBe("y".repeat(150_000));
  });
});
