import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { socketPathOf, stateFolderOf, stateFoldersOf } from "./state-folder.ts";

describe("the state folder", () => {
  it("is where WEFT_STATE says, as an absolute path, since programs run in folders of their own", async () => {
    expect(await stateFolderOf(tmpdir(), { WEFT_STATE: "state" })).toBe(resolve("state"));
    expect(await stateFoldersOf({ WEFT_STATE: "state" })).toEqual([resolve("state")]);
  });

  it("is named after the mesh's folder elsewhere", async () => {
    expect(await stateFolderOf(tmpdir(), { XDG_STATE_HOME: "/s" })).toMatch(/^\/s\/weft\/[^/]+-[0-9a-f]{8}$/);
  });

  it("has its socket elsewhere where its path is too long for one", async () => {
    const path = await socketPathOf(join("/", "x".repeat(120)));
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(103);
    expect(await socketPathOf("/short")).toBe("/short/runner.sock");
  });
});
