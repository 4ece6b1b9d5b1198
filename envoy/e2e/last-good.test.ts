// A mistake in a file changes nothing that serves, also when the whole mesh is stopped and started with the mistake still in the file.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MESHES, startMesh } from "./mesh.ts";
import { serviceUrl } from "./ready.ts";

let state: string;
beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), "weft-state-"));
});
afterAll(() => rm(state, { recursive: true, force: true }));

it("serves the last good version after a restart, says what is wrong, and takes the mended file", async () => {
  const versionOf = async (mesh: Awaited<ReturnType<typeof startMesh>>): Promise<string | null> =>
    (await fetch(`${serviceUrl(mesh.ready, "caller", "echo")}/x`)).headers.get("x-version");
  const options = { env: { WEFT_STATE: state } };
  const first = await startMesh(join(MESHES, "echo"), options);
  let broken = "";
  try {
    const good = await first.edit("traffic.yaml", (text) => text.replace("subset: v1", "subset: v2"));
    await first.event("applied", undefined, { from: good });
    expect(await versionOf(first)).toBe("v2");
    const bad = await first.edit("traffic.yaml", (text) => {
      broken = text.replace("subset: v2", "subset: v1").replace("http:", "htp:");
      return broken;
    });
    const { diagnostics } = await first.event("diagnostics", (event) => event.diagnostics.length > 0, { from: bad });
    expect(diagnostics[0]).toMatchObject({ severity: "error", origin: { file: "traffic.yaml" } });
    expect(await versionOf(first)).toBe("v2");
  } finally {
    await first.close();
  }
  const { writeFile } = await import("node:fs/promises");
  const second = await startMesh(join(MESHES, "echo"), { ...options, prepare: (folder) => writeFile(join(folder, "traffic.yaml"), broken) });
  try {
    expect(second.events.some((event) => event.event === "diagnostics" && event.diagnostics.some(({ severity }) => severity === "error"))).toBe(true);
    expect(await versionOf(second)).toBe("v2");
    const mended = await second.edit("traffic.yaml", () => broken.replace("htp:", "http:"));
    await second.event("applied", undefined, { from: mended });
    expect(await versionOf(second)).toBe("v1");
  } finally {
    await second.close();
  }
});
