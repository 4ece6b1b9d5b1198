// kind's own program reads kind.yaml as far as it can without Docker: it refuses unknown fields and roles, and goes on to fetch the image of the nodes.
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureBinaries } from "./binaries.ts";

const CONFIGURATION = join(import.meta.dirname, "..", "kind.yaml");

/** What kind asks before it fetches an image, answered as a daemon without containers would; anything else fails. */
const DOCKER = `#!/bin/sh
case "$1" in
  info) echo '{"CgroupDriver":"systemd","CgroupVersion":"2","MemoryLimit":true,"PidsLimit":true,"CPUShares":true,"SecurityOptions":[]}' ;;
  ps) ;;
  *) exit 1 ;;
esac
`;

describe("kind.yaml", () => {
  let folder: string;
  let kind: string;
  beforeAll(async () => {
    kind = join(await ensureBinaries("kind"), "kind");
    folder = await mkdtemp(join(tmpdir(), "weft-kind-"));
    await writeFile(join(folder, "docker"), DOCKER, { mode: 0o755 });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const create = async (change: (text: string) => string): Promise<string> => {
    const path = join(folder, "kind.yaml");
    await writeFile(path, change(await readFile(CONFIGURATION, "utf8")));
    const env = { PATH: `${folder}:/bin:/usr/bin`, HOME: folder };
    return spawnSync(kind, ["create", "cluster", "--name", "weft-test-of-configuration", "--config", path], { encoding: "utf8", env }).stderr;
  };

  it("is accepted, up to the image of its nodes", async () => {
    expect(await create((text) => text)).toMatch(/failed to pull image "kindest\/node:/);
  });

  it.each([
    ["a field that kind does not know", "labels:", "lables:", /field lables not found/],
    ["a role that kind does not know", "role: worker", "role: wrker", /"wrker" is not a valid node role/],
  ])("would be refused for %s", async (_, from, to, words) => {
    expect(await create((text) => text.replace(from, to))).toMatch(words);
  });
});
