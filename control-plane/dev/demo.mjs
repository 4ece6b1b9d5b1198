// `npm run demo`: sets up, then runs both demos side by side and prints where to look. Ctrl-C ends everything.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, setUp } from "./setup.mjs";

const DEMOS = [
  { folder: "examples/shop", title: "Demo 1, locality" },
  { folder: "examples/blue-green", title: "Demo 2, canary" },
];

/** Starts one mesh and resolves with its `ready` event; everything else it says is shown with the demo's name before it. */
function startDemo(demo, children) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, "control-plane/cli/weft.mjs"), "up", demo.folder, "--output", "json"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const event = JSON.parse(line);
      if (event.event === "ready") resolve(event);
      else if (event.text) process.stderr.write(`  [${demo.folder}] ${event.text}\n`);
    });
    child.on("close", (code) => reject(new Error(`weft up ${demo.folder} ended with ${code}`)));
  });
}

function describeShop(ready) {
  const inZone = (name) => ready.workloads.find((workload) => workload.workload === name);
  return [
    "Zone-local traffic: call product in zone a; only order-history in zone a logs a request.",
    `  curl ${inZone("product-a")?.url}/products`,
    "  npx weft logs --dir examples/shop order-history-a",
    "  npx weft stop --dir examples/shop order-history-a     (the neighbours answer; `start` brings it home)",
  ];
}

function describeCanary(ready) {
  const url = ready.gateways[0]?.ports[0]?.url;
  return [
    "Blue → green: open the page, then edit the weights and watch.",
    `  ${url}/`,
    "  edit examples/blue-green/virtual-service.yaml: weights 100/0 → 90/10",
  ];
}

await setUp();
const children = [];
let ending = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    ending = true;
    for (const child of children) child.kill("SIGTERM");
  });
}
try {
  const [shop, canary] = await Promise.all(DEMOS.map((demo) => startDemo(demo, children)));
  const lines = [`\n${DEMOS[0].title}`, ...describeShop(shop), `\n${DEMOS[1].title}`, ...describeCanary(canary), "\nCtrl-C ends both."];
  process.stdout.write(`${lines.join("\n")}\n`);
} catch (error) {
  if (!ending) process.stderr.write(`${error.message}\n`);
  for (const child of children) child.kill("SIGTERM");
  process.exitCode = ending ? 0 : 1;
}
