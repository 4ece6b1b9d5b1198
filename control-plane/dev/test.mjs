// `npm test` and `npm run test:all`: set up, run vitest, end with one line `N passed, N failed, N skipped`.
import { spawn } from "node:child_process";
import { ROOT, setUp } from "./setup.mjs";

const all = process.argv.includes("--all");
const rest = process.argv.slice(2).filter((argument) => argument !== "--all");
await setUp({ tests: true });
const child = spawn(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--reporter=default", "--reporter=./control-plane/dev/closing-line-reporter.ts", ...rest],
  { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, WEFT_SLOW: all ? "1" : "0" } },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("close", (code) => process.exit(code ?? 1));
