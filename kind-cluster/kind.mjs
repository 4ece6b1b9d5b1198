// `npm run kind:up`, `kind:demo`, `kind:down`: a mesh on a kind cluster, step by step. Plain JavaScript without dependencies, since it runs on a fresh clone: what
// is built is built in Docker. `--dry-run` prints the commands and runs none.
import { spawn, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const CLUSTER = "weft";
const CONTEXT = `kind-${CLUSTER}`;
const VERSION = "0.1.0";
const ENVOY_IMAGE = "docker.io/envoyproxy/envoy:distroless-v1.40.0";

/** Programs that must be there: how each is asked, and how to get it. */
const TOOLS = [
  {
    name: "docker",
    ask: ["docker", "info", "--format", "{{.ServerVersion}}"],
    missing: "https://docs.docker.com/engine/install (Debian: apt-get install docker.io; macOS: brew install --cask docker)",
    silent: "docker is there, but its daemon does not answer: start it (systemctl start docker), or join its group (usermod -aG docker $USER)",
  },
  {
    name: "kind",
    ask: ["kind", "version"],
    missing: "https://kind.sigs.k8s.io (go install sigs.k8s.io/kind@latest; macOS: brew install kind)",
  },
  {
    name: "kubectl",
    ask: ["kubectl", "version", "--client"],
    missing: "https://kubernetes.io/docs/tasks/tools (macOS: brew install kubectl)",
  },
];

/** Images that are built here: name, Dockerfile, folder, arguments. */
const IMAGES = [
  [`weft-control-plane:${VERSION}`, "kind-cluster/images/control-plane.Dockerfile", ".", {}],
  [`weft-iptables:${VERSION}`, "kind-cluster/images/iptables.Dockerfile", "kind-cluster/images", {}],
];
const DEMO_IMAGES = [
  ["product:1", "examples/shop/Dockerfile", "examples/shop", { PROGRAM: "product" }],
  ["order-history:1", "examples/shop/Dockerfile", "examples/shop", { PROGRAM: "order-history" }],
  ["color:blue", "examples/blue-green/Dockerfile", "examples/blue-green", { PROGRAM: "color", COLOR: "blue" }],
  ["color:green", "examples/blue-green/Dockerfile", "examples/blue-green", { PROGRAM: "color", COLOR: "green" }],
  ["page:1", "examples/blue-green/Dockerfile", "examples/blue-green", { PROGRAM: "page" }],
];
const DEMOS = [
  ["shop", "examples/shop"],
  ["blue-green", "examples/blue-green"],
];

const dryRun = process.argv.includes("--dry-run");
const [action] = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));

function say(text) {
  process.stdout.write(`${text}\n`);
}

/** What is missing, one thing a line; empty when nothing is. */
function missingTools() {
  return TOOLS.flatMap(({ name, ask: [program, ...args], missing, silent }) => {
    const { error, status } = spawnSync(program, args, { stdio: "ignore", timeout: 20_000 });
    if (error?.code === "ENOENT") return [`${name} is not there: ${missing}`];
    return error !== undefined || status !== 0 ? [silent ?? `${name} is there, but \`${[program, ...args].join(" ")}\` fails`] : [];
  });
}

/** Runs one command to its end; its output is shown where it fails, or where `show` is set. Rejects with the last of it. */
function run(program, args, { input, show = false } = {}) {
  if (dryRun) {
    say(`  ${[program, ...args].join(" ")}`);
    return Promise.resolve("");
  }
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        output += chunk;
        if (show) process.stdout.write(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(output) : reject(new Error(`\`${[program, ...args].join(" ")}\` ended with ${code}\n${output.slice(-4_000)}`)),
    );
    child.stdin.end(input ?? "");
  });
}

function kubectl(...args) {
  return run("kubectl", ["--context", CONTEXT, ...args]);
}

/** One named step, with the time it took. */
async function step(title, work) {
  const startedMs = performance.now();
  say(`• ${title} …`);
  await work();
  if (!dryRun) say(`✓ ${title} ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
}

async function buildAndLoad(images) {
  for (const [image, file, folder, args] of images) {
    const set = Object.entries(args).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
    await step(`image ${image}`, async () => {
      await run("docker", ["build", "-q", "-f", file, "-t", image, ...set, folder]);
      await run("kind", ["load", "docker-image", image, "--name", CLUSTER]);
    });
  }
}

async function up() {
  const clusters = dryRun ? "" : await run("kind", ["get", "clusters"]);
  if (clusters.split("\n").includes(CLUSTER)) say(`✓ cluster ${CLUSTER} is there already`);
  else
    await step(`cluster ${CLUSTER}, three workers as zones a, b, c`, () =>
      run("kind", ["create", "cluster", "--config", "kind-cluster/kind.yaml", "--wait", "180s"]),
    );
  await buildAndLoad(IMAGES);
  await step(`image ${ENVOY_IMAGE}`, async () => {
    await run("docker", ["pull", "-q", ENVOY_IMAGE]);
    await run("kind", ["load", "docker-image", ENVOY_IMAGE, "--name", CLUSTER]);
  });
  await step("definitions of the mesh's resources", async () => {
    await kubectl("apply", "--server-side", "-f", "kind-cluster/crds");
    await kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", "kind-cluster/crds");
  });
  await step("control plane and ingress gateway", async () => {
    await kubectl("apply", "--server-side", "-k", "kind-cluster/manifests");
    await kubectl("-n", "weft-system", "rollout", "status", "deployment/weft-control-plane", "--timeout=180s");
    await kubectl("-n", "weft-ingress", "rollout", "status", "deployment/weft-ingressgateway", "--timeout=180s");
  });
  say(`\nThe mesh is up. Next: npm run kind:demo, or label a namespace of your own:
  kubectl --context ${CONTEXT} label namespace default weft.mesh/injection=enabled
  weft get --context ${CONTEXT}`);
}

async function demo() {
  await buildAndLoad(DEMO_IMAGES);
  for (const [namespace, folder] of DEMOS) {
    await step(`${folder} in the namespace ${namespace}`, async () => {
      const document = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { "weft.mesh/injection": "enabled" } } };
      await run("kubectl", ["--context", CONTEXT, "apply", "-f", "-"], { input: JSON.stringify(document) });
      await kubectl("-n", namespace, "apply", "-f", folder);
      await kubectl("-n", namespace, "wait", "--for=condition=Available", "--timeout=180s", "deployment", "--all");
    });
  }
  say("\nDemo 1, locality: product in zone a asks for orders ten times.");
  const ask = "for (let i = 0; i < 10; i += 1) await fetch('http://localhost:9090/products').then((answer) => answer.text())";
  await kubectl("-n", "shop", "exec", "deploy/product-a", "-c", "product", "--", "node", "--input-type=module", "-e", ask);
  for (const zone of ["a", "b", "c"]) {
    const log = await kubectl("-n", "shop", "logs", `deploy/order-history-${zone}`, "-c", "order-history");
    say(`  order-history-${zone}: ${log.split("\n").filter((line) => line.includes("GET /order-histories")).length} requests`);
  }
  say(`
Demo 2, canary: open http://localhost:8080 and change the weights while it is open:
  kubectl --context ${CONTEXT} -n blue-green edit virtualservice color`);
}

const ACTIONS = { up, demo, down: () => step(`delete the cluster ${CLUSTER}`, () => run("kind", ["delete", "cluster", "--name", CLUSTER])) };

const chosen = ACTIONS[action];
if (chosen === undefined) {
  process.stderr.write("Usage: npm run kind:up | kind:demo | kind:down [-- --dry-run]\n");
  process.exit(2);
}
const missing = dryRun ? [] : missingTools();
if (missing.length > 0) {
  process.stderr.write(`A kind cluster needs what is not there:\n${missing.map((line) => `  ✗ ${line}\n`).join("")}Then run npm run kind:${action} again.\n`);
  process.exit(1);
}
chosen().catch((error) => {
  process.stderr.write(`✗ ${error.message}\n`);
  process.exit(1);
});
