// `npm run demo`: sets up, then runs both demos side by side, prints where to look and what to try. Ctrl-C ends everything.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT, setUp } from "./setup.mjs";

const DEMOS = [
  { folder: "examples/shop", title: "Demo 1, locality", describe: describeShop },
  { folder: "examples/blue-green", title: "Demo 2, canary", describe: describeCanary },
];

/** Starts one mesh and resolves with its `ready` event; what else is worth telling is shown with the demo's folder before it. Rejects when it ends before. */
function startDemo({ folder }, children, onEnd) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, "control-plane/cli/weft.mjs"), "up", folder, "--output", "json"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    let ready = false;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const event = JSON.parse(line);
      if (event.event === "ready") {
        ready = true;
        resolve(event);
      } else {
        for (const text of worthTelling(event, ready)) process.stderr.write(`  [${folder}] ${text}\n`);
      }
    });
    child.on("close", (code) => {
      const error = new Error(`weft up ${folder} ended with exit code ${code}`);
      if (ready) onEnd(error);
      else reject(error);
    });
  });
}

/** The lines of an event that its reader has waited for, has caused, or must know. Notes wait until all is ready: much is only on its way before. */
function worthTelling(event, ready) {
  switch (event.event) {
    case "progress":
    case "applied":
      return [event.text];
    case "workload":
      return event.state === "starting" ? [] : [event.text];
    case "diagnostics":
      return event.text.split("\n").filter((_, index) => ready || (event.diagnostics[index]?.severity ?? "info") !== "info");
    default:
      return event.state === "crashed" || event.state === "ended" ? [event.text] : [];
  }
}

function describeShop(ready) {
  const product = ready.workloads.find(({ workload }) => workload === "product-a");
  return [
    "Three zones, each with a product and an order-history. Ask zone a's product: only order-history in zone a logs a request.",
    `  curl ${product?.url}/products`,
    "  npx weft logs --dir examples/shop                     all logs, each line with its name; -f follows",
    "  npx weft stop --dir examples/shop order-history-a     the neighbours answer, no request fails",
    "  npx weft start --dir examples/shop order-history-a    traffic comes home",
    "  npx weft explain --dir examples/shop --live --from product-a GET http://order-history:9090/order-histories",
  ];
}

function describeCanary(ready) {
  const url = ready.gateways[0]?.ports[0]?.url;
  return [
    "A page whose 100 users are answered by stable (blue) or canary (green). Open it, then edit and watch:",
    `  ${url}/`,
    "  examples/blue-green/traffic.yaml: weights 100/0 → 90/10   10 of 100 users turn green, and stay while the weight rises",
    "  examples/blue-green/color.yaml: image color:blue → color:green   stable is replaced copy by copy",
    `  npx weft explain --dir examples/blue-green --live --from ingressgateway GET ${url}/color -H 'x-user: user-7'`,
  ];
}

await setUp();
const children = [];
let ending = false;
function endAll() {
  ending = true;
  for (const child of children) child.kill("SIGTERM");
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, endAll);
function fail(error) {
  if (ending) return;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
  endAll();
}
try {
  const ready = await Promise.all(DEMOS.map((demo) => startDemo(demo, children, fail)));
  const lines = DEMOS.flatMap(({ title, describe }, index) => ["", title, ...describe(ready[index])]);
  process.stdout.write(`${[...lines, "", "Ctrl-C ends both."].join("\n")}\n`);
} catch (error) {
  fail(error);
}
