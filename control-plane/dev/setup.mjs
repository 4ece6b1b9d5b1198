// Brings a fresh clone to where anything can run: packages, the Envoy binary, the filter, and (where it may) the tools that tests drive.
// Plain JavaScript without dependencies, since it runs before `npm ci`.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder, absolute. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const STAMP = join(ROOT, "node_modules", ".weft-lock-digest");

/** Debian packages that tests drive, with the program each one brings. */
const TEST_TOOLS = [
  { program: "chromium", package: "chromium" },
  { program: "wrk", package: "wrk" },
  { program: "prometheus", package: "prometheus" },
  { program: "ip", package: "iproute2" },
  { program: "iptables", package: "iptables" },
];

/** Runs one named step and says how long it took; ends the process with the step's own output when it fails. */
async function step(title, run) {
  const startedMs = performance.now();
  process.stderr.write(`• ${title} …\n`);
  try {
    const note = await run();
    process.stderr.write(`✓ ${title}${note ? ` (${note})` : ""} ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  } catch (error) {
    process.stderr.write(`✗ ${title}: ${error.message}\n`);
    process.exit(1);
  }
}

/** Runs a program to its end; its output is shown only when it fails. Rejects with the last lines. */
function runQuietly(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output = (output + chunk).slice(-8_000)));
    child.on("error", (error) => reject(new Error(`${program} could not be started: ${error.message}`)));
    child.on("close", (code) => (code === 0 ? resolve(output) : reject(new Error(`\`${[program, ...args].join(" ")}\` ended with ${code}\n${output}`))));
  });
}

/** Runs a step that says itself how far it is, on standard error; ends the process when it fails. */
export function runVisibly(title, program, args) {
  return step(
    title,
    () =>
      new Promise((resolve, reject) => {
        const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
        child.on("error", reject);
        child.on("close", (code) => (code === 0 ? resolve() : reject(new Error("failed, as it says above"))));
      }),
  );
}

function lockDigest() {
  return createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
}

/** True where the installed packages are those of the lock file. */
function packagesInstalled() {
  return existsSync(STAMP) && readFileSync(STAMP, "utf8") === lockDigest();
}

/** Whether a program is on the PATH. */
export function onPath(program) {
  return spawnSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }).status === 0;
}

async function installTestTools() {
  const missing = TEST_TOOLS.filter((tool) => !onPath(tool.program));
  if (missing.length === 0) return;
  const names = missing.map((tool) => tool.package);
  if (process.getuid?.() !== 0 || !onPath("apt-get")) {
    process.stderr.write(`! ${names.join(", ")} not found: the tests that need them are skipped. To have them: sudo apt-get install ${names.join(" ")}\n`);
    return;
  }
  await step(`Debian packages for the tests: ${names.join(", ")}`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await runQuietly("apt-get", ["update", "-qq"], { env });
    await runQuietly("apt-get", ["install", "-y", "-qq", ...names], { env });
  });
}

/** Installs packages, Envoy and the filter; with `tests` also the programs that tests drive. Ends the process with a message when a step fails. */
export async function setUp({ tests = false } = {}) {
  if (!packagesInstalled()) {
    await step("packages (npm ci)", async () => {
      await runQuietly("npm", ["ci", "--no-audit", "--no-fund"], { shell: process.platform === "win32" });
      writeFileSync(STAMP, lockDigest());
    });
  }
  await step("Envoy binary", async () => {
    const output = await runQuietly(process.execPath, ["--import", "tsx", "envoy/install.ts"]);
    return output.trim().split("\n").at(-1);
  });
  await step("filter (.wasm)", async () => {
    const output = await runQuietly(process.execPath, ["--import", "tsx", "filter/build.ts"]);
    return output.trim().split("\n").at(-1);
  });
  if (tests) await installTestTools();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setUp({ tests: process.argv.includes("--tests") });
