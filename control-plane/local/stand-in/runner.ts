// Runs the mesh of a folder with stand-ins, and prints its events: for tests that kill a runner.
import { fileURLToPath } from "node:url";
import { runMesh } from "../run.ts";

const [, , folder = "", stateFolder = ""] = process.argv;
await runMesh({
  folder,
  stateFolder,
  envoy: fileURLToPath(new URL("envoy.mjs", import.meta.url)),
  controlPlane: fileURLToPath(new URL("control-plane.ts", import.meta.url)),
  emit: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
});
