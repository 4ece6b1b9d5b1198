// Stands for the control plane in tests of the runner: reads `desired.json` of the folder over and over, and says that every proxy has taken everything.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ControlPlaneMessage, RunnerMessage } from "../protocol.ts";

const POLL_MS = 20;
const { values } = parseArgs({ options: { folder: { type: "string" }, "xds-port": { type: "string" } }, strict: false });
const path = join(String(values.folder), "desired.json");
const send = (message: ControlPlaneMessage): void => {
  process.send?.(message);
};
let revision = Date.now();
let running: Extract<RunnerMessage, { kind: "running" }> = { kind: "running", sequence: 0, instances: [], proxies: [] };
let said = "";

const publish = (files: readonly string[]): void => {
  revision += 1;
  const proxies = running.proxies.map(({ id }) => id);
  send({ kind: "published", revision, sequence: running.sequence, files, changedAtMs: Date.now(), proxies });
  send({ kind: "proxies", proxies: proxies.map((proxyId) => ({ proxyId, connected: true, ackedRevision: revision, nacks: 0 })) });
};
const read = (): void => {
  const text = readFileSync(path, "utf8");
  if (text === said || text === "") return;
  send({ kind: "desired", desired: JSON.parse(text) });
  if (said !== "") publish(["desired.json"]);
  said = text;
};

process.on("message", (message: RunnerMessage) => {
  if (message.kind !== "running") return;
  running = message;
  publish([]);
});
process.on("disconnect", () => process.exit(0));
// Nothing listens there; the runner only has to remember the port.
send({ kind: "listening", xdsPort: Number(values["xds-port"]) || 45_000, adminPort: 45_001 });
read();
setInterval(read, POLL_MS);
