// `npm run check`: what can be known without running the mesh. Runs every check, names those that failed, exits 1 if any did.
import { spawnSync } from "node:child_process";
import { ROOT, setUp } from "./setup.mjs";

const CHECKS = [
  { name: "types", command: ["node_modules/typescript/bin/tsc", "-p", "."] },
  { name: "lint and format", command: ["node_modules/@biomejs/biome/bin/biome", "check", "."] },
  { name: "dead code", command: ["node_modules/knip/bin/knip.js"] },
  { name: "generated code is fresh", command: ["--import", "tsx", "envoy/gen/generate.ts", "--check"] },
  { name: "import direction", command: ["node_modules/vitest/vitest.mjs", "run", "control-plane/test/imports.test.ts"] },
];

await setUp();
const failed = [];
for (const { name, command } of CHECKS) {
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: ROOT, encoding: "utf8" });
  process.stderr.write(`${status === 0 ? "✓" : "✗"} ${name}\n`);
  if (status !== 0) {
    failed.push(name);
    process.stderr.write(`${stdout}${stderr}\n`);
  }
}
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(", ")}\n`);
  process.exit(1);
}
