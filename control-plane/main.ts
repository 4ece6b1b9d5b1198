// The control plane as a process of its own: the runner starts it, talks to it over the IPC channel, and starts it again should it end.
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import pino from "pino";
import { buildFilter } from "../filter/build.ts";
import { type OpenIdentity, startMeshIdentity } from "./ca/mesh-identity.ts";
import { startControlPlane } from "./control-plane.ts";
import { collectWhenIdle } from "./idle-collection.ts";
import type { ControlPlaneMessage } from "./local/protocol.ts";
import { runnerEvents, runnerReceiver } from "./local/runner-link.ts";
import { absentFiles } from "./source/absent-files.ts";
import { calledNamesFile } from "./source/called-names-file.ts";
import { lastGoodFile } from "./source/last-good-file.ts";
import { folderSource } from "./source/source.ts";

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    "last-good": { type: "string" },
    "xds-port": { type: "string", default: "0" },
    identity: { type: "string" },
    plaintext: { type: "boolean", default: false },
    log: { type: "string" },
  },
});
const { folder, "last-good": lastGoodPath, "xds-port": xdsPort, identity, log } = values;
if (folder === undefined || lastGoodPath === undefined || (identity === undefined) !== values.plaintext || process.send === undefined) {
  process.stderr.write("This is started by `weft up`, which talks to it. Run `npx weft up DIR` instead.\n");
  process.exit(2);
}

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: log ?? 1, sync: true }));
const send = (message: ControlPlaneMessage): void => {
  if (process.connected) process.send?.(message);
};
const controlPlane = await startControlPlane({
  openSource: folderSource(folder),
  lastGood: lastGoodFile(lastGoodPath),
  called: calledNamesFile(join(dirname(lastGoodPath), "called-names.json")),
  absentFiles,
  xdsPort: Number(xdsPort),
  identity: identity === undefined ? "plaintext" : identityIn(identity),
  wasm: await readFile((await buildFilter()).path),
  ...(process.env.WEFT_TEST_FILTER === "trap" ? { testFilter: "trap" } : {}),
  ...(process.env.WEFT_TEST_EDITS === "unordered" ? { testEdits: "unordered" as const } : {}),
  logger,
  events: runnerEvents(folder, send),
});
collectWhenIdle();
process.on("message", runnerReceiver(controlPlane, send));
// Without its runner nobody would end it.
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", async () => {
  await controlPlane.close();
  process.exit(0);
});
// Ctrl-C reaches the whole group; the runner ends its children in order.
process.on("SIGINT", () => undefined);

function identityIn(folder: string): OpenIdentity {
  return (context) => startMeshIdentity({ folder, ...identityOf(process.env), ...context });
}

/** A mesh of its own root, 24 hours for a certificate, unless told otherwise. */
function identityOf({ WEFT_CA, WEFT_CERTIFICATE_SECONDS }: NodeJS.ProcessEnv): { external?: string; lifetimeMs?: number } {
  const seconds = Number(WEFT_CERTIFICATE_SECONDS);
  return { ...(WEFT_CA ? { external: resolve(WEFT_CA) } : {}), ...(seconds >= 1 ? { lifetimeMs: seconds * 1_000 } : {}) };
}
