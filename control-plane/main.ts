// The control plane as a process of its own: the runner starts it, talks to it over the IPC channel, and starts it again should it end.
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import pino from "pino";
import { buildFilter } from "../filter/build.ts";
import { startControlPlane } from "./control-plane.ts";
import type { ControlPlaneMessage, RunnerMessage } from "./local/protocol.ts";

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    "last-good": { type: "string" },
    "xds-port": { type: "string", default: "0" },
    log: { type: "string" },
  },
});
const { folder, "last-good": lastGoodPath, "xds-port": xdsPort, log } = values;
if (folder === undefined || lastGoodPath === undefined || process.send === undefined) {
  process.stderr.write("This is started by `weft up`, which talks to it. Run `npx weft up DIR` instead.\n");
  process.exit(2);
}

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: log ?? 1, sync: true }));
const send = (message: ControlPlaneMessage): void => {
  if (process.connected) process.send?.(message);
};
const controlPlane = await startControlPlane({
  folder,
  lastGoodPath,
  xdsPort: Number(xdsPort),
  wasm: await readFile((await buildFilter()).path),
  ...(process.env.WEFT_TEST_FILTER === "trap" ? { testFilter: "trap" } : {}),
  logger,
  send,
});
process.on("message", (message: RunnerMessage) => controlPlane.receive(message));
// Without its runner nobody would end it.
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", async () => {
  await controlPlane.close();
  process.exit(0);
});
// Ctrl-C reaches the whole group; the runner ends its children in order.
process.on("SIGINT", () => undefined);
