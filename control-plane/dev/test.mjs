// `npm test`, `npm run test:all` and `npm run test:kubernetes`: set up, run vitest, end with one line `N passed, N failed, N skipped`.
import { spawn } from "node:child_process";
import { ROOT, runVisibly, setUp } from "./setup.mjs";

const STAGES = ["--all", "--kubernetes"];
const all = process.argv.includes("--all");
const kubernetes = process.argv.includes("--kubernetes");
const rest = process.argv.slice(2).filter((argument) => !STAGES.includes(argument));
await setUp({ tests: true });
if (kubernetes) await runVisibly("programs of Kubernetes", process.execPath, ["--import", "tsx", "kind-cluster/test/binaries.ts"]);
const child = spawn(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--reporter=default", "--reporter=./control-plane/dev/closing-line-reporter.ts", ...rest],
  { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, WEFT_SLOW: all ? "1" : "0", WEFT_KUBERNETES: kubernetes ? "1" : "0" } },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("close", (code) => process.exit(code ?? 1));
