import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EMPTY_LAST_GOOD, type LastGood } from "../model/last-good.ts";
import { loadLastGood, saveLastGood } from "./last-good-file.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-last-good-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const remembering = (name: string): LastGood => ({
  ...EMPTY_LAST_GOOD,
  resources: [{ kind: "Service", namespace: "default", name, file: "a.yaml", line: 1, column: 1, document: { kind: "Service" }, digest: "x" }],
});

describe("the last good state on disk", () => {
  it("comes back as it was saved, is its owner's alone, and leaves nothing beside it", async () => {
    const path = join(folder, "state", "last-good.json");
    await saveLastGood(path, remembering("a"));
    expect(await loadLastGood(path)).toEqual(remembering("a"));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, "state"))).toEqual(["last-good.json"]);
  });

  it("is the last of several that are saved at once, and whole at every moment", async () => {
    const path = join(folder, "last-good.json");
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => saveLastGood(path, remembering(`service-${index}`)).then(async () => JSON.parse(await readFile(path, "utf8")))),
    );
    expect(await loadLastGood(path)).toEqual(remembering("service-19"));
  });

  it.each(["", "{", "null", "[]", '{"version":2,"resources":[]}'])("counts as none where it is damaged: %j", async (text) => {
    const path = join(folder, "last-good.json");
    await writeFile(path, text);
    expect(await loadLastGood(path)).toEqual(EMPTY_LAST_GOOD);
  });

  it("counts as none where it is missing", async () => {
    expect(await loadLastGood(join(folder, "none", "last-good.json"))).toEqual(EMPTY_LAST_GOOD);
  });
});
