import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { CONFORMANCE } from "../control-plane/conformance/lines.ts";
import { parseFile } from "../control-plane/source/parse-file.ts";
import { validate } from "../control-plane/validate/validate.ts";
import { type Cluster, startCluster } from "./test/cluster.ts";
import { installDefinitions } from "./test/definitions.ts";

const FOLDER = import.meta.dirname;
const ROOT = join(FOLDER, "..");

/** Every YAML file of the examples and of the tests' meshes. */
async function exampleFiles(): Promise<readonly string[]> {
  const folders = ["examples", "envoy/e2e/meshes"];
  const files = await Promise.all(folders.map(async (folder) => (await readdir(join(ROOT, folder), { recursive: true })).map((file) => join(folder, file))));
  return files.flat().filter((file) => /\.ya?ml$/.test(file) && !file.includes("node_modules"));
}

describe("the definitions on a real API server", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
    await installDefinitions(cluster);
  });
  afterAll(() => cluster?.close());

  it("are all accepted as structural, in every version", async () => {
    const list = JSON.parse(await cluster.kubectl(["get", "crd", "-o", "json"]));
    expect(list.items).toHaveLength((await readdir(join(FOLDER, "crds"))).length);
    for (const { metadata, status } of list.items) {
      const wrong = status.conditions.filter(({ type, status: is }: { type: string; status: string }) => type === "NonStructuralSchema" && is === "True");
      expect(wrong, metadata.name).toEqual([]);
    }
  });

  it("take every resource of the examples, strictly", async () => {
    let count = 0;
    for (const file of await exampleFiles()) {
      for (const document of parseAllDocuments(await readFile(join(ROOT, file), "utf8"))) {
        const { apiVersion } = document.toJS() ?? {};
        if (typeof apiVersion !== "string" || !/istio\.io|weft\.mesh/.test(apiVersion)) continue;
        count += 1;
        const answer = await cluster.kubectl(["apply", "--dry-run=server", "--validate=strict", "-n", "default", "-f", "-"], document.toString());
        expect(answer, file).toContain("(server dry run)");
      }
    }
    expect(count).toBeGreaterThan(5);
  });

  it.skipIf(!existsSync(CONFORMANCE))("take every document of Istio's that Weft takes (needs conformance data)", async () => {
    const folder = join(CONFORMANCE, "data");
    const items: object[] = [];
    for (const file of (await readdir(folder, { recursive: true })).filter((name) => /\.ya?ml$/.test(name))) {
      for (const document of parseAllDocuments(await readFile(join(folder, file), "utf8"), { logLevel: "silent" })) {
        if (document.errors.length > 0) continue;
        const { apiVersion, metadata, ...rest } = document.toJS() ?? {};
        if (!/istio\.io\//.test(String(apiVersion)) || metadata?.name === undefined) continue;
        const { resources, diagnostics } = parseFile(file, document.toString());
        const isRight = resources.length === 1 && [...diagnostics, ...validate(resources)].every(({ severity }) => severity !== "error");
        if (isRight) items.push({ ...rest, apiVersion, metadata: { name: `document-${items.length}`, namespace: "default" }, status: undefined });
      }
    }
    expect(items.length).toBeGreaterThan(400);
    await cluster.kubectl(["create", "--dry-run=server", "--validate=strict", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  });

  it.each([
    ["a weight that is text", "http: [{route: [{destination: {host: a}, weight: '10%'}]}]", /spec\.http\[0\]\.route\[0\]\.weight/],
    ["two kinds of match at once", "http: [{match: [{uri: {exact: /, prefix: /}}], route: [{destination: {host: a}}]}]", /spec\.http\[0\]\.match\[0\]\.uri/],
    ["a timeout without a unit", "http: [{timeout: '5', route: [{destination: {host: a}}]}]", /spec\.http\[0\]\.timeout/],
    ["a field that does not exist", "http: [{routes: []}]", /unknown field "spec\.http\[0\]\.routes"/],
    ["no route at all", "exportTo: ['.']", /one of http, tls and tcp must be set/],
  ])("refuse %s", async (_, spec, words) => {
    const text = `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: wrong}\nspec: {hosts: [a], ${spec}}\n`;
    await expect(cluster.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], text)).rejects.toThrow(words);
  });

  it("are explained by kubectl", async () => {
    expect(await cluster.kubectl(["explain", "virtualservice.spec.http.route.weight"])).toMatch(/share/i);
  });
});
