// Builds the programs of a real Kubernetes from Go modules, once: what is built is named by its wrapper module, and a build is kept until that changes.
// As a script (`tsx kind-cluster/test/binaries.ts`) it builds all of them and prints their paths.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const KUBERNETES_VERSION = "1.37.2";
const WRAPPERS = join(dirname(fileURLToPath(import.meta.url)), "go");
const PROGRESS_MS = 20_000;

/** Kubernetes says its version by variables that its own build sets. */
const KUBERNETES_FLAGS = Object.entries({ gitVersion: `v${KUBERNETES_VERSION}`, gitMajor: "1", gitMinor: "37", gitTreeState: "clean" })
  .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
  .join(" ");

/** One wrapper module: programs by the package that is built for each. */
const MODULES = {
  etcd: { version: "3.7.3", flags: "", programs: { etcd: "go.etcd.io/etcd/server/v3" } },
  kubernetes: {
    version: KUBERNETES_VERSION,
    flags: KUBERNETES_FLAGS,
    programs: {
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
      "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
      kubectl: "k8s.io/kubernetes/cmd/kubectl",
    },
  },
  "argo-rollouts": { version: "1.10.1", flags: "", programs: { "rollouts-controller": "github.com/argoproj/argo-rollouts/cmd/rollouts-controller" } },
  kind: { version: "0.33.0", flags: "", programs: { kind: "sigs.k8s.io/kind" } },
} as const;

export type GoModule = keyof typeof MODULES;

/** All of them, in the order in which they are best built: what tests need first is first. */
export const GO_MODULES: readonly GoModule[] = ["etcd", "kubernetes", "argo-rollouts", "kind"];

/**
 * The folder that holds the programs of a module, after a build if there is none yet. `onProgress` gets a line for each step, and every 20 s while one goes on.
 * Rejects with what is missing: Go, or what the build said last.
 */
export async function ensureBinaries(module: GoModule, onProgress: (line: string) => void = () => undefined): Promise<string> {
  const { version, flags, programs } = MODULES[module];
  const wrapper = join(WRAPPERS, module);
  const recipe = createHash("sha256").update(flags);
  for (const file of ["go.mod", "go.sum"]) recipe.update(await readFile(join(wrapper, file)));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "weft");
  const folder = join(cache, `${module}-${version}-${recipe.digest("hex").slice(0, 12)}`);
  if (Object.keys(programs).every((program) => existsSync(join(folder, program)))) return folder;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, `building-${module}-`));
  try {
    for (const [program, source] of Object.entries(programs)) {
      await build(
        `${program} ${version}`,
        wrapper,
        ["build", "-v", "-trimpath", "-mod=readonly", "-ldflags", `-s -w ${flags}`, "-o", join(work, program), source],
        onProgress,
      );
    }
    // Another process may have been faster; its programs are the same.
    await rename(work, folder).catch((error: Error) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

/** `go build -v` names each package that it compiles: the count is the progress. */
function build(what: string, folder: string, args: readonly string[], onProgress: (line: string) => void): Promise<void> {
  const startedMs = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - startedMs) / 1_000)} s`;
  onProgress(`building ${what} …`);
  return new Promise((resolve, reject) => {
    const child = spawn("go", args, { cwd: folder, env: { ...process.env, CGO_ENABLED: "0" }, stdio: ["ignore", "ignore", "pipe"] });
    let packages = 0;
    let last = "";
    child.stderr.on("data", (chunk) => {
      last = (last + chunk).slice(-4_000);
      packages += String(chunk).split("\n").length - 1;
    });
    const timer = setInterval(() => onProgress(`building ${what}: ${packages} packages, ${seconds()}`), PROGRESS_MS);
    child.once("error", (error) => {
      clearInterval(timer);
      reject(new Error(`go cannot be started (${error.message}); the tests on Kubernetes build it. Fix: install Go 1.26 (https://go.dev/doc/install)`));
    });
    child.once("close", (code) => {
      clearInterval(timer);
      if (code === 0) onProgress(`built ${what} in ${seconds()}`);
      code === 0 ? resolve() : reject(new Error(`\`go ${args.join(" ")}\` in ${basename(folder)} ended with ${code}\n${last}`));
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    for (const module of GO_MODULES) process.stdout.write(`${await ensureBinaries(module, (line) => process.stderr.write(`• ${line}\n`))}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
