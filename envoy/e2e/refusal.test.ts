// What Envoy refuses though it looked right: reported at its line with Envoy's words, while everything else of the same edit is applied.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MESHES, startMesh, type TestMesh } from "./mesh.ts";
import { serviceUrl } from "./ready.ts";

const SHADOW = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shadow
spec:
  hosts: [shadow]
  http:
    - name: all
      headers:
        response: {set: {x-edit: EDIT}}
      route:
        - destination: {host: shadow}
`;

describe("a resource that Envoy refuses", () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    mesh = await startMesh(join(MESHES, "echo"));
  });
  afterAll(() => mesh?.close());

  it("is reported as file:line with Envoy's text; the rest of the edit is applied, and the last good version serves", async () => {
    const header = async (service: string): Promise<string | null> => (await fetch(`${serviceUrl(mesh.ready, "caller", service)}/x`)).headers.get("x-edit");
    const set = (value: string) => (text: string) =>
      text.includes("x-edit")
        ? text.replace(/x-edit: .*\}\}/, `x-edit: "${value}"}}`)
        : text.replace("      route:", `      headers:\n        response: {set: {x-edit: "${value}"}}\n      route:`);
    const first = await mesh.edit("traffic.yaml", set("good"));
    await mesh.event("applied", undefined, { from: first });
    expect(await header("echo")).toBe("good");
    const from = mesh.events.length;
    await mesh.write("shadow.yaml", SHADOW.replace("EDIT", "applied"));
    await mesh.edit("traffic.yaml", set("%NO_SUCH_THING%"));
    const { diagnostics } = await mesh.event("diagnostics", (event) => event.diagnostics.some(({ code }) => code === "WEFT0701"), { from });
    const refusal = diagnostics.find(({ code }) => code === "WEFT0701");
    expect(refusal?.origin.file).toBe("traffic.yaml");
    expect(refusal?.what).toContain("NO_SUCH_THING");
    await expect.poll(() => header("shadow"), { timeout: 20_000 }).toBe("applied");
    expect(await header("echo")).toBe("good");
    const mended = await mesh.edit("traffic.yaml", set("mended"));
    await mesh.event("diagnostics", (event) => event.diagnostics.every(({ code }) => code !== "WEFT0701"), { from: mended });
    await expect.poll(() => header("echo"), { timeout: 20_000 }).toBe("mended");
  });
});
