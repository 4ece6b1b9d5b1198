// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseFile } from "../source/parse-file.ts";
import { init } from "./init.ts";

const deployment = (name: string, env = "") => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: main, image: "registry.example:5000/shop/${name}:1.2"${env}}]}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{port: 80}, {port: 9090}]}
`;

describe("weft init", () => {
  let base: string;
  let written: string;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "weft-init-"));
    written = "";
    vi.spyOn(process.stdout, "write").mockImplementation((text) => {
      written += text;
      return true;
    });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(base, { recursive: true, force: true });
  });
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(base, file)), { recursive: true });
    await writeFile(join(base, file), text);
  };

  it("proposes a program for each image whose source it finds, and a stub for the others", async () => {
    const env =
      ', env: [{name: ORDERS, value: "http://orders:9090/v1"}, {name: PAY, value: "payment.default:80"}, {name: NAME, value: orders}, {name: OUT, value: "http://example.com"}]';
    await write(".git/HEAD", "");
    await write("deploy/all.yaml", deployment("web", env) + deployment("orders") + deployment("payment"));
    await write("web/package.json", '{"scripts":{"dev":"vite"}}');
    await write("services/orders_service/go.mod", "module orders");
    expect(await init(join(base, "deploy"))).toBe(0);
    const text = await readFile(join(base, "deploy/weft.yaml"), "utf8");
    const { resources, diagnostics } = parseFile("weft.yaml", text);
    expect(diagnostics).toEqual([]);
    expect(resources[0]).toMatchObject({
      kind: "LocalRun",
      name: "deploy",
      spec: {
        images: [
          { image: "registry.example:5000/shop/orders", directory: "../services/orders_service", command: ["go", "run", "."], env: {} },
          { image: "registry.example:5000/shop/payment", stub: [{ path: "/*", status: 501 }] },
          {
            image: "registry.example:5000/shop/web",
            directory: "../web",
            command: ["npm", "run", "dev"],
            env: { ORDERS: "http://${service:orders:9090}/v1", PAY: "${service:payment:80}" },
          },
        ],
      },
    });
    expect(text).toContain("# payment: no folder is called payment; a stub until");
    expect(written).toContain("1 of 3 could not be guessed: registry.example:5000/shop/payment");
  });

  it("never writes over a file, and says what is missing in it", async () => {
    await write("all.yaml", deployment("web") + deployment("orders"));
    const mine =
      "apiVersion: weft.mesh/v1alpha1\nkind: LocalRun\nmetadata: {name: mine}\nspec: {images: [{image: registry.example:5000/shop/web, command: [./web]}]}\n";
    await write("weft.yaml", mine);
    await expect(init(base)).rejects.toMatchObject({
      message: expect.stringContaining("is not written over"),
      next: expect.stringContaining("image: registry.example:5000/shop/orders"),
    });
    expect(await readFile(join(base, "weft.yaml"), "utf8")).toBe(mine);
    await write("other.yaml", mine.replace("mine", "other").replace("/web,", "/orders,"));
    expect(await init(base)).toBe(0);
    expect(written).toContain("nothing is to be written");
  });

  it.each([
    ["no/such/folder", "there is no folder"],
    [".", "has no Deployment"],
  ])("refuses %s", async (folder, message) => {
    await expect(init(join(base, folder))).rejects.toThrow(message);
  });
});
