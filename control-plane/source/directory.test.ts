import { writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type WatchedDirectory, watchDirectory } from "./directory.ts";

interface Change {
  readonly files: Readonly<Record<string, string>>;
  readonly changed: readonly string[];
  readonly changedAtMs: number;
}

let folder = "";
let watched: WatchedDirectory | undefined;
let changes: Change[] = [];
const errors: Error[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-directory-"));
  changes = [];
});
afterEach(async () => {
  await watched?.close();
  watched = undefined;
  await rm(folder, { recursive: true, force: true });
  expect(errors).toEqual([]);
});

const write = (path: string, text: string): Promise<void> => writeFile(join(folder, path), text);

async function watchFolder(goneMs = 150): Promise<Readonly<Record<string, string>>> {
  watched = await watchDirectory({
    folder,
    goneMs,
    onChange: (files, changed, changedAtMs) => changes.push({ files: Object.fromEntries(files), changed, changedAtMs }),
    onError: (error) => errors.push(error),
  });
  return Object.fromEntries(watched.files);
}

/** Resolves once the folder was told to hold just this. */
const told = (files: Readonly<Record<string, string>>): Promise<void> =>
  vi.waitFor(() => expect(changes.at(-1)?.files).toEqual(files), { timeout: 20_000, interval: 10 });

describe("a watched folder", () => {
  it("gives all YAML below it, sorted, but for hidden folders and node_modules", async () => {
    for (const path of ["b/c", ".git", "node_modules/x"]) await mkdir(join(folder, path), { recursive: true });
    for (const path of ["z.yaml", "a.yml", "b/c/d.yaml", ".git/e.yaml", ".hidden.yaml", "node_modules/x/f.yaml", "readme.md"]) await write(path, path);
    expect(Object.keys(await watchFolder())).toEqual(["a.yml", "b/c/d.yaml", "z.yaml"]);
  });

  it("tells an edit in place, one by rename, a new file in a new folder and a deletion", async () => {
    // The system may tell of the first write only after the folder is watched: then the change that is told began with it.
    const beforeMs = Date.now();
    await write("a.yaml", "one");
    expect(await watchFolder()).toEqual({ "a.yaml": "one" });
    await write("a.yaml", "two");
    await told({ "a.yaml": "two" });
    expect(changes.at(-1)?.changed).toEqual(["a.yaml"]);
    expect(changes.at(-1)?.changedAtMs).toBeGreaterThanOrEqual(beforeMs);
    expect(changes.at(-1)?.changedAtMs).toBeLessThanOrEqual(Date.now());
    await write("a.yaml.tmp", "three");
    await rename(join(folder, "a.yaml.tmp"), join(folder, "a.yaml"));
    await told({ "a.yaml": "three" });
    await mkdir(join(folder, "more"));
    await write("more/b.yaml", "b");
    await told({ "a.yaml": "three", "more/b.yaml": "b" });
    await rm(join(folder, "a.yaml"));
    await told({ "more/b.yaml": "b" });
  });

  it("tells several files that are saved together once", async () => {
    await watchFolder();
    for (const name of ["a", "b", "c"]) writeFileSync(join(folder, `${name}.yaml`), name);
    await told({ "a.yaml": "a", "b.yaml": "b", "c.yaml": "c" });
    expect(changes).toHaveLength(1);
  });

  it("never tells of the moment in which an editor has emptied or moved a file away", async () => {
    await write("a.yaml", "one");
    await watchFolder(60_000);
    await rename(join(folder, "a.yaml"), join(folder, "a.yaml~"));
    await write("a.yaml", "two");
    await told({ "a.yaml": "two" });
    await write("a.yaml", "");
    await write("a.yaml", "three");
    await told({ "a.yaml": "three" });
    expect(changes.every(({ files }) => (files["a.yaml"] ?? "") !== "")).toBe(true);
  });

  it("says nothing when a file is written with the text it has", async () => {
    await write("a.yaml", "one");
    await watchFolder();
    await write("a.yaml", "one");
    await write("b.yaml", "b");
    await told({ "a.yaml": "one", "b.yaml": "b" });
    expect(changes.flatMap(({ changed }) => changed)).toEqual(["b.yaml"]);
  });

  it("rejects where there is no folder", async () => {
    await expect(watchDirectory({ folder: join(folder, "none"), onChange: () => undefined, onError: () => undefined })).rejects.toThrow("ENOENT");
  });
});
