import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lastLine, lastLineOf } from "./last-line.ts";

const NODE_TRACE = `node:events:497
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use 127.0.0.1:80
    at Server.setupListenHandle [as _listen2] (node:net:1940:16)
Emitted 'error' event on Server instance at:
    at emitErrorNT (node:net:1919:8) {
  code: 'EADDRINUSE'
}

Node.js v20.20.0
`;

describe("what a program said last", () => {
  it.each([
    { name: "is its last line", text: "starting\ncannot find the database\n", line: "cannot find the database" },
    { name: "is no part of a trace", text: "Error: no key\n    at open (a.js:1:1)\n\nNode.js v20.20.0\n", line: "Error: no key" },
    { name: "is the error that Node.js tells", text: NODE_TRACE, line: "Error: listen EADDRINUSE: address already in use 127.0.0.1:80" },
    { name: "is the exception of a Python trace", text: 'Traceback:\n  File "a.py", line 1\nValueError: no\n', line: "ValueError: no" },
    { name: "holds no colours and no control characters", text: "\u001b[31mfailed\u001b[0m\u0007now\r\n", line: "failed now" },
    { name: "is cut where it is long", text: "x".repeat(300), line: `${"x".repeat(200)}…` },
    { name: "is nothing where nothing was said", text: "\n \n", line: undefined },
  ])("$name", ({ text, line }) => {
    expect(lastLine(text)).toBe(line);
  });

  it("is read behind what earlier runs have written", () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-last-line-"));
    try {
      const path = join(folder, "a.log");
      writeFileSync(path, "before\nafter\n");
      expect(lastLineOf(path, 7)).toBe("after");
      expect(lastLineOf(path, 13)).toBeUndefined();
      expect(lastLineOf(path, 99)).toBe("after");
      expect(lastLineOf(join(folder, "none.log"), 0)).toBeUndefined();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
