// Istio's test documents for its CustomResourceDefinitions, and all YAML that it ships: what is right must load.
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseFile } from "../source/parse-file.ts";
import { validate } from "../validate/validate.ts";
import { compareDocuments, readDocuments } from "./documents.ts";
import { CONFORMANCE } from "./lines.ts";

const LOADED = ["data/istio/samples/bookinfo", "data/istio/tests/testdata/config"];

describe.skipIf(!existsSync(CONFORMANCE))("Istio's documents (needs conformance data)", () => {
  it("are refused and accepted as a cluster does", async () => {
    const verdicts = compareDocuments(await readDocuments(CONFORMANCE));
    expect(verdicts.length).toBeGreaterThan(40);
    expect(verdicts.filter(({ agreed }) => !agreed)).toEqual([]);
  });

  it.each(LOADED)("of %s load without an error", async (folder) => {
    const files = (await readdir(join(CONFORMANCE, folder), { recursive: true })).filter((file) => /\.ya?ml$/.test(file));
    expect(files.length).toBeGreaterThan(5);
    const errors = files.flatMap((file) => {
      const parsed = parseFile(file, readFileSync(join(CONFORMANCE, folder, file), "utf8"));
      return [...parsed.diagnostics, ...validate(parsed.resources)].filter(({ severity }) => severity === "error");
    });
    expect(errors).toEqual([]);
  });
});
