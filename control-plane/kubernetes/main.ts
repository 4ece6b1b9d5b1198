// The control plane as a pod of a cluster. `--help` names its options. It ends in order at SIGTERM: first it is ready no more, then its streams end, and the
// proxies go to another one with what they hold.
import { readFile } from "node:fs/promises";
import pino from "pino";
import { buildFilter } from "../../filter/build.ts";
import { collectWhenIdle } from "../idle-collection.ts";
import { createKubernetesApi, inClusterConnection, kubeconfigConnection } from "../source/kubernetes-api.ts";
import { startClusterControlPlane } from "./cluster.ts";
import { injectionSettings } from "./inject/settings.ts";
import { type ClusterSettings, helpText, readSettings } from "./options.ts";

/** Until the Service has heard that this pod is not ready, connections still come. */
const LEAVE_MS = 2_000;

const read = readSettings(process.argv.slice(2), process.env);
if (read.kind === "help") {
  process.stdout.write(helpText());
  process.exit(0);
}
if (read.kind === "problem") {
  process.stderr.write(`${read.text}\nRun with --help for the options.\n`);
  process.exit(2);
}
try {
  await run(read.settings);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\nRun with --help for the options.\n`);
  process.exit(1);
}

async function run(settings: ClusterSettings): Promise<void> {
  const { logLevel, kubeconfig, context, xdsPort, healthPort, webhookPort, adminPort, filter, ...rest } = settings;
  const logger = pino({ base: null, level: logLevel, timestamp: pino.stdTimeFunctions.isoTime });
  const choice = { ...(kubeconfig === undefined ? {} : { path: kubeconfig }), ...(context === undefined ? {} : { context }) };
  const connection = Object.keys(choice).length === 0 ? await inClusterConnection(process.env) : await kubeconfigConnection(choice);
  const api = createKubernetesApi(connection);
  let ending = false;
  const started = startClusterControlPlane({
    ...rest,
    api,
    logger,
    ports: { xds: xdsPort, health: healthPort, webhooks: webhookPort, admin: adminPort },
    injection: injectionSettings.parse(JSON.parse(process.env.WEFT_INJECTION ?? "{}")),
    wasm: await readFile(filter ?? (await buildFilter()).path),
    ...(process.env.WEFT_TEST_FILTER === "trap" ? { testFilter: "trap" as const } : {}),
  });
  const end = (signal: string): void => {
    if (ending) process.exit(1);
    ending = true;
    logger.info({ signal }, "ending");
    void started
      .then(async (cluster) => {
        cluster.leave();
        await new Promise((resolve) => setTimeout(resolve, LEAVE_MS));
        await cluster.close();
      })
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => end(signal));
  await started;
  collectWhenIdle();
}
